package git

import (
	"net/http"
	"net/url"
	"strings"
)

// Page is the repository's address for an HTTP client, such as that of its
// forge: of a remote over SSH, the one with https at the same host. "" where
// there is none.
func (r *Remote) Page() string {
	if u := r.page(); u != nil {
		return u.String()
	}
	return ""
}

func (r *Remote) page() *url.URL {
	switch t := r.keys.target; t.scheme {
	case "https", "http":
		return t.httpURL()
	case "ssh":
		host, _, _ := strings.Cut(strings.Trim(t.host, "[]"), ":")
		return &url.URL{Scheme: "https", Host: host, Path: "/" + strings.Trim(t.path, "/")}
	}
	return nil
}

// Credential reads the user and password for Page anew; ok is false where no
// file knows any.
func (r *Remote) Credential() (user, password string, ok bool, err error) {
	page := r.page()
	if page == nil {
		return "", "", false, nil
	}
	if t := r.keys.target; t.password != "" && t.scheme != "ssh" {
		return t.user, t.password, true, nil
	}
	if err := r.keys.read(); err != nil {
		return "", "", false, err
	}
	user, password, ok = r.keys.lookup(page, page)
	return user, password, ok, nil
}

// RoundTripper reaches hosts with the remote's proxies and certificates, and
// without its credentials.
func (r *Remote) RoundTripper() (http.RoundTripper, error) {
	a := r.access
	if r.page() != nil {
		a = r.keys.trust(a)
	}
	return a.Connections.to(a)
}
