package site

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Gitea is the Git host, spoken to as its administrator.
type Gitea struct {
	URL, User    string
	passwordFile string
}

// Password of the administrator.
func (g *Gitea) Password() (string, error) {
	text, err := os.ReadFile(g.passwordFile)
	return strings.TrimSpace(string(text)), err
}

// Call does one request to the API below /api/v1 and decodes its answer into
// out, unless that is nil. Answers outside 2xx are errors, but for those that
// allowed names (409: it exists already).
func (g *Gitea) Call(ctx context.Context, method, path string, in, out any, allowed ...int) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.URL+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	password, err := g.Password()
	if err != nil {
		return err
	}
	req.SetBasicAuth(g.User, password)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 10<<20))
	if err != nil {
		return err
	}
	for _, code := range allowed {
		if resp.StatusCode == code {
			return nil
		}
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("gitea: %s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// organisation makes sure that the owner of the repositories is there.
func (g *Gitea) organisation(ctx context.Context, name string) error {
	// Gitea answers 422 where the name is taken.
	return g.Call(ctx, "POST", "/orgs", map[string]any{"username": name}, nil, http.StatusUnprocessableEntity)
}

// repository makes sure that an empty repository or the one from before is there.
func (g *Gitea) repository(ctx context.Context, owner, name string) error {
	return g.Call(ctx, "POST", "/orgs/"+owner+"/repos", map[string]any{"name": name, "default_branch": "main"}, nil, http.StatusConflict)
}

type hook struct {
	ID     int               `json:"id"`
	Config map[string]string `json:"config"`
}

// webhook makes sure that pushes to a repository are sent to url, signed with
// secret, once.
func (g *Gitea) webhook(ctx context.Context, owner, name, url, secret string) error {
	path := "/repos/" + owner + "/" + name + "/hooks"
	var hooks []hook
	if err := g.Call(ctx, "GET", path, nil, &hooks); err != nil {
		return err
	}
	config := map[string]any{
		"active": true, "branch_filter": "*", "events": []string{"push"}, "type": "gitea",
		"config": map[string]string{"url": url, "content_type": "json", "secret": secret},
	}
	for _, h := range hooks {
		if h.Config["url"] == url {
			return g.Call(ctx, "PATCH", fmt.Sprintf("%s/%d", path, h.ID), config, nil)
		}
		// A listener of an earlier cluster had another address.
		if err := g.Call(ctx, "DELETE", fmt.Sprintf("%s/%d", path, h.ID), nil, nil); err != nil {
			return err
		}
	}
	return g.Call(ctx, "POST", path, config, nil)
}

// DropWebhooks takes every webhook of a repository away.
func (g *Gitea) DropWebhooks(ctx context.Context, owner, name string) error {
	path := "/repos/" + owner + "/" + name + "/hooks"
	var hooks []hook
	if err := g.Call(ctx, "GET", path, nil, &hooks); err != nil {
		return err
	}
	for _, h := range hooks {
		if err := g.Call(ctx, "DELETE", fmt.Sprintf("%s/%d", path, h.ID), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// gitEnvironment lets the git program log in without a secret in its arguments
// or in a file.
func (g *Gitea) gitEnvironment() ([]string, error) {
	password, err := g.Password()
	if err != nil {
		return nil, err
	}
	return append(withoutConfiguration(),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http."+g.URL+"/.extraHeader",
		"GIT_CONFIG_VALUE_0=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(g.User+":"+password))), nil
}

func (g *Gitea) gitURL(owner, name string) string { return g.URL + "/" + owner + "/" + name + ".git" }
