// Package redact takes secrets out of text and errors where that text is made.
// It knows how secrets look in URLs and in HTTP headers; values that only the
// caller knows to be secret are handed to it.
package redact

import (
	"net/url"
	"regexp"
	"sort"
	"strings"
)

// Mark stands where a secret stood.
const Mark = "***"

var (
	// userinfo of a URL anywhere in a text: scheme://user:password@host. The
	// match is greedy up to the last @ of the authority, since an unescaped
	// password may itself contain one.
	userinfo = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#"'<>]*@`)
	// The credentials of an Authorization or similar header, and of the
	// parameters that servers repeat in their messages.
	header = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization\s*[:=]\s*)(?:(?:basic|bearer|token)\s+)?[^\s,;"']+`)
	bearer = regexp.MustCompile(`(?i)\b((?:basic|bearer)\s+)[a-z0-9._~+/=-]{16,}`)
	query  = regexp.MustCompile(`(?i)([?&](?:access_token|private_token|token|password|client_secret|secret|api[_-]?key|x-amz-signature|signature|sig)=)[^&\s"'#]+`)
)

// URL returns s without its userinfo, for storing and logging. What cannot be
// parsed as a URL loses everything that looks like userinfo. The scp-like form
// user@host:path is returned as it is: it cannot carry a password.
func URL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil || u.Host == "" {
		return userinfo.ReplaceAllString(s, "$1")
	}
	u.User = nil
	return u.String()
}

// Text returns s with credentials in URLs, headers and query parameters and
// every given secret replaced by Mark. A secret is also found in its
// URL-escaped forms. Secrets of fewer than four bytes are left alone: replacing
// them would make nonsense of the text and hide nothing.
func Text(s string, secrets ...string) string {
	for _, form := range forms(secrets) {
		s = strings.ReplaceAll(s, form, Mark)
	}
	s = userinfo.ReplaceAllString(s, "${1}"+Mark+"@")
	s = header.ReplaceAllString(s, "${1}"+Mark)
	s = bearer.ReplaceAllString(s, "${1}"+Mark)
	return query.ReplaceAllString(s, "${1}"+Mark)
}

// forms lists the ways in which each secret may stand in a text, longest
// first, so that a secret that is part of another does not leave its rest.
func forms(secrets []string) []string {
	const shortest = 4
	var all []string
	for _, secret := range secrets {
		if len(secret) < shortest {
			continue
		}
		all = append(all, secret)
		for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:]} {
			if escaped != secret {
				all = append(all, escaped)
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return len(all[i]) > len(all[j]) })
	return all
}

// Error returns err with a message from which Text has taken the secrets;
// errors.Is and errors.As still reach err's chain. Error(nil) is nil.
func Error(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	clean := Text(err.Error(), secrets...)
	if clean == err.Error() {
		return err
	}
	return &redacted{text: clean, err: err}
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.err }
