package registry

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// pushMuseum publishes with ChartMuseum's API: a form field "chart" posted to
// <server>/api/charts, where a repository with a path (a tenant) has that path
// behind /api, as ChartMuseum does, unless the path is itself an API's, as
// Gitea's /api/packages/<owner>/helm is.
func (c *Client) pushMuseum(ctx context.Context, a Archive, ref ChartRef) (Pushed, error) {
	address, err := museumAPI(ref.Repository)
	if err != nil {
		return Pushed{}, err
	}
	what := "publish " + ref.String()
	form, contentType, err := chartForm(a)
	if err != nil {
		return Pushed{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, form)
	if err != nil {
		return Pushed{}, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "lockstep")
	resp, err := c.client().Do(req)
	if err != nil {
		return Pushed{}, c.explain(bare(err), hostOf(address), what)
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted:
		resp.Body.Close()
		return c.published(ctx, a, ref), nil
	case http.StatusConflict:
		resp.Body.Close()
		return c.settleConflict(ctx, a, ref)
	}
	return Pushed{}, c.explain(statusError(resp), hostOf(address), what)
}

// published is where the index says the archive is now. An index that is
// written with a delay does not have it yet: then all that is known is the
// repository. Gitea's index never names a digest.
func (c *Client) published(ctx context.Context, a Archive, ref ChartRef) Pushed {
	digest := Digest(a.Content)
	at, err := c.FindChart(ctx, ref)
	if err != nil || at.Content != "" && at.Content != digest {
		at = Location{Ref: ref, URL: strip(ref.Repository)}
	}
	at.Digest, at.Content = digest, digest
	return Pushed{Location: at}
}

// settleConflict decides after another run published the version between our
// look and our push.
func (c *Client) settleConflict(ctx context.Context, a Archive, ref ChartRef) (Pushed, error) {
	there, err := c.FindChart(ctx, ref)
	if err != nil {
		return Pushed{}, err
	}
	return c.settle(ctx, there, a)
}

func chartForm(a Archive) (io.Reader, string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("chart", a.fileName())
	if err != nil {
		return nil, "", err
	}
	if _, err := part.Write(a.Content); err != nil {
		return nil, "", err
	}
	return &body, form.FormDataContentType(), form.Close()
}

func museumAPI(repository string) (string, error) {
	u, err := parseRepository(repository)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(u.Path, "/api/") {
		return u.JoinPath("api", "charts").String(), nil
	}
	server := url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/api"}
	return server.JoinPath(u.Path, "charts").String(), nil
}
