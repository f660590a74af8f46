package site

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Reset takes away what an earlier Install and the work on it left, so that
// tests start from the same place on every machine: the namespaces, the
// repositories, and the charts, whose versions never change once published. Those
// of further environments go as well.
func (s *Site) Reset(ctx context.Context, further ...Environment) error {
	s.Log("remove what an earlier time left")
	namespaces := s.namespaces(further...)
	for _, namespace := range namespaces {
		if _, err := s.Kubectl(ctx, "delete", "namespace", namespace, "--ignore-not-found", "--wait=false"); err != nil {
			return err
		}
	}
	for _, name := range s.repositories(further...) {
		if err := s.Gitea.Call(ctx, http.MethodDelete, "/repos/"+s.Owner+"/"+name, nil, nil, http.StatusNotFound); err != nil {
			return err
		}
	}
	for _, name := range applications {
		if err := s.deleteCharts(ctx, name); err != nil {
			return err
		}
	}
	return Until(ctx, "the namespaces to be gone", func(ctx context.Context) (bool, error) {
		left, err := s.Kubectl(ctx, append([]string{"get", "namespaces", "-o", "name", "--ignore-not-found"}, namespaces...)...)
		return err == nil && strings.TrimSpace(left) == "", err
	})
}

// deleteCharts removes every version of a chart from the registry.
func (s *Site) deleteCharts(ctx context.Context, name string) error {
	base := "http://" + s.Registry + "/v2/charts/" + name
	var list struct{ Tags []string }
	if found, err := getJSON(ctx, base+"/tags/list", &list); !found || err != nil {
		return err
	}
	for _, tag := range list.Tags {
		digest, err := s.request(ctx, http.MethodHead, base+"/manifests/"+tag)
		if err != nil {
			return err
		}
		if digest == "" {
			continue // another tag of the same manifest took it along
		}
		if _, err := s.request(ctx, http.MethodDelete, base+"/manifests/"+digest); err != nil {
			return err
		}
	}
	return nil
}

// getJSON reads a list; found is false where there is none.
func getJSON(ctx context.Context, url string, out any) (found bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound:
		return false, nil
	case http.StatusOK:
		return true, json.NewDecoder(io.LimitReader(resp.Body, 10<<20)).Decode(out)
	}
	return false, fmt.Errorf("GET %s: %s", url, resp.Status)
}

// request does one call to the registry and returns the digest that it names,
// "" where there is nothing.
func (s *Site) request(ctx context.Context, method, url string) (digest string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", strings.Join(manifestTypes, ", "))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return resp.Header.Get("Docker-Content-Digest"), nil
}

var manifestTypes = []string{"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"}
