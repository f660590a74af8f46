package document

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// scp is user@host:path, Git's short form for SSH. It cannot carry a password.
var scp = regexp.MustCompile(`^[^-@/:\s][^@/:\s]*@[^-@/:\s][^@/:\s]*:[^-\s]\S*$`)

var errURLForm = errors.New("it is none of https://host/path, ssh://user@host/path, user@host:path, file:///path or /path")

// ParseRepository takes the URL of a Git repository, without credentials. Its
// errors never repeat the text: one that cannot be read may hold a password as
// well.
func ParseRepository(text string) (string, error) {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", errors.New("it contains a blank or a control character")
	case strings.HasPrefix(text, "/") || scp.MatchString(text):
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errURLForm
	}
	_, password := u.User.Password()
	switch {
	case password, u.User != nil && u.Scheme != "ssh":
		return "", errors.New("the URL has a user or a password in it; credentials belong into a Secret")
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("the URL has a query or a fragment, which may hold a token; it ends with the path")
	case u.Scheme == "file" && u.Host == "" && len(u.Path) > 1:
		return text, nil
	case !slices.Contains([]string{"https", "http", "ssh"}, u.Scheme), u.Hostname() == "", strings.Trim(u.Path, "/") == "":
		return "", errURLForm
	case strings.HasPrefix(u.Host, "-"), strings.HasPrefix(u.User.Username(), "-"), strings.HasPrefix(strings.TrimLeft(u.Path, "/"), "-"):
		return "", errors.New("its host, user or path starts with a hyphen, which a program may take for an option")
	}
	return text, nil
}

// SameRepository is equal for the ways to write one repository's URL: with and
// without .git, over SSH and HTTPS. A port that is not the scheme's own counts.
func SameRepository(text string) string {
	if user, rest, ok := strings.Cut(text, "@"); ok && !strings.Contains(user, "/") {
		host, at, _ := strings.Cut(rest, ":")
		text = "ssh://" + host + "/" + at
	}
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	host := strings.ToLower(u.Hostname())
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80", "ssh": "22"}[u.Scheme] {
		host += ":" + port
	}
	return host + strings.TrimSuffix(path.Clean("/"+u.Path), ".git")
}
