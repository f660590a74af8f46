package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// client is an HTTP client whose every request carries the credentials of its
// own host and no other's.
func (c *Client) client() *http.Client {
	return &http.Client{Transport: &authorised{base: c.http, keys: c.keys}}
}

// get returns the body of an answer 200; every other answer is a status error.
func (c *Client) get(ctx context.Context, address string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "lockstep")
	resp, err := c.client().Do(req)
	if err != nil {
		return nil, bare(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	return resp.Body, nil
}

// bare takes off what net/http puts around errors: the URL again, with its
// query, which may hold a signature.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// statusError reads the server's own words, at most 300 bytes of them.
func statusError(resp *http.Response) error {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	return &status{code: resp.StatusCode, text: strings.Join(strings.Fields(string(text)), " ")}
}

// locateHTTP looks up the refs with the given indices, which all name one
// repository, in that repository's index.
func (c *Client) locateHTTP(ctx context.Context, refs []ChartRef, members []int, found []Location, faults []error) {
	var names []string
	for _, i := range members {
		names = append(names, refs[i].Name)
	}
	repository := refs[members[0]].Repository
	base, index, err := c.index(ctx, repository, names)
	for _, i := range members {
		if err != nil {
			found[i], faults[i] = Location{}, c.explain(err, hostOf(repository), "look up "+refs[i].String())
			continue
		}
		found[i], faults[i] = pick(base, index[refs[i].Name], refs[i])
	}
}

// index reads what the index says about the named charts.
func (c *Client) index(ctx context.Context, repository string, names []string) (*url.URL, map[string][]indexEntry, error) {
	base, err := parseRepository(repository)
	if err != nil {
		return nil, nil, err
	}
	var entries map[string][]indexEntry
	err = c.again(ctx, strip(repository), func(ctx context.Context) error {
		body, err := c.get(ctx, base.JoinPath("index.yaml").String())
		if err != nil {
			return err
		}
		defer body.Close()
		entries, err = readIndex(body, names)
		return err
	})
	if statusOf(err) == http.StatusNotFound {
		err = fmt.Errorf("the repository has no index.yaml: %w", err)
	}
	return base, entries, err
}

// pick chooses the entry of the wanted version. A leading v makes no
// difference, as in Helm.
func pick(base *url.URL, entries []indexEntry, ref ChartRef) (Location, error) {
	for _, exact := range []bool{true, false} {
		for _, e := range entries {
			same := e.Version == ref.Version
			if !exact {
				same = strings.TrimPrefix(e.Version, "v") == strings.TrimPrefix(ref.Version, "v")
			}
			if same {
				return locationOf(base, e, ref)
			}
		}
	}
	return Location{}, fmt.Errorf("look up %s: %w", ref, ErrNotFound)
}

func locationOf(base *url.URL, e indexEntry, ref ChartRef) (Location, error) {
	if len(e.URLs) == 0 {
		return Location{}, fmt.Errorf("look up %s: the index entry has no URL: %w", ref, ErrNotFound)
	}
	archive, err := url.Parse(e.URLs[0])
	if err != nil {
		return Location{}, fmt.Errorf("look up %s: the index names the URL %q", ref, strip(e.URLs[0]))
	}
	if !archive.IsAbs() {
		// Relative to the repository's folder, also when its URL has no final slash.
		archive = base.JoinPath("/").ResolveReference(archive)
	}
	archive.User = nil
	digest := e.Digest
	if digest != "" && !strings.HasPrefix(digest, "sha256:") {
		digest = "sha256:" + digest
	}
	return Location{Ref: ref, URL: archive.String(), Digest: digest, Content: digest}, nil
}

func (c *Client) downloadHTTP(ctx context.Context, at Location) (content []byte, err error) {
	err = c.again(ctx, at.Ref.String(), func(ctx context.Context) error {
		body, err := c.get(ctx, at.URL)
		if err != nil {
			return err
		}
		defer body.Close()
		content, err = readArchive(body)
		return err
	})
	return content, err
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}
