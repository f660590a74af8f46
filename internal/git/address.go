package git

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// address is a repository's URL in its parts. Credentials are kept apart, so
// that no text made from the rest can hold them.
type address struct {
	scheme         string // https, http, ssh, file
	user, password string
	host           string // with a port where one is given
	path           string // as the server shall see it
	text           string // to show and store: without a password
}

// scp matches user@host:path, Git's short form for SSH. A path of one letter
// before the colon would be a drive; such hosts need the ssh:// form.
var scp = regexp.MustCompile(`^(?:([^@/:\s]+)@)?(\[[0-9a-fA-F:.]+\]|[^@/:\s\[\]]{2,}):([^\\].*)$`)

var scheme = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*)://`)

// parseAddress refuses what must never reach a program, a server or a file
// name: options in disguise, control characters, quotes in an SSH path.
func parseAddress(s string) (address, error) {
	a, err := splitAddress(strings.TrimSpace(s))
	if err == nil {
		err = a.check()
	}
	if err != nil {
		// The text of a URL that cannot be parsed may hold anything, a password
		// too: it is not repeated.
		return address{}, fault.Usage("InvalidURL", fmt.Errorf("%w repository URL: %w", ErrInvalid, err),
			"Use https://host/path, ssh://user@host/path, user@host:path, or a path on this machine.")
	}
	return a, nil
}

func splitAddress(s string) (address, error) {
	switch m := scheme.FindStringSubmatch(s); {
	case s == "":
		return address{}, fmt.Errorf("it is empty")
	case strings.ContainsFunc(s, isControl):
		return address{}, fmt.Errorf("it contains a control character or a space")
	case strings.Contains(s, "::"):
		if helper, _, _ := strings.Cut(s, "::"); !strings.ContainsAny(helper, "/:@[") {
			return address{}, fmt.Errorf("remote helpers are not supported")
		}
		return splitScheme(m, s)
	default:
		return splitScheme(m, s)
	}
}

func splitScheme(m []string, s string) (address, error) {
	if m != nil {
		return splitURL(strings.ToLower(m[1]), s)
	}
	if filepath.IsAbs(s) || strings.HasPrefix(s, ".") {
		return address{scheme: "file", path: s, text: s}, nil
	}
	if m := scp.FindStringSubmatch(s); m != nil {
		return address{scheme: "ssh", user: m[1], host: m[2], path: m[3], text: s}, nil
	}
	return address{scheme: "file", path: s, text: s}, nil
}

func splitURL(scheme, s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return address{}, fmt.Errorf("it cannot be parsed")
	}
	a := address{scheme: scheme, host: u.Host, path: u.Path, user: u.User.Username()}
	a.password, _ = u.User.Password()
	switch scheme {
	case "https", "http":
		u.User, u.Fragment = nil, ""
		u.RawQuery = ""
	case "ssh", "git+ssh", "ssh+git":
		a.scheme, u.Scheme = "ssh", "ssh"
		if u.User = nil; a.user != "" {
			u.User = url.User(a.user)
		}
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return address{}, fmt.Errorf("a file URL names no host")
		}
	default:
		return address{}, fmt.Errorf("%s:// is not supported", scheme)
	}
	if a.scheme != "file" && u.Hostname() == "" {
		return address{}, fmt.Errorf("it names no host")
	}
	a.text = u.String()
	return a, nil
}

func (a address) check() error {
	switch {
	case strings.HasPrefix(a.host, "-"):
		return fmt.Errorf("its host starts with a hyphen")
	case strings.HasPrefix(a.user, "-"):
		return fmt.Errorf("its user starts with a hyphen")
	case strings.Trim(a.path, "/") == "":
		return fmt.Errorf("it names no repository")
	case strings.ContainsFunc(a.user+a.path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("it contains an encoded control character")
	case a.scheme == "ssh" && strings.ContainsAny(a.path, "'\"`\\!$"):
		// The path goes through the shell of the other side.
		return fmt.Errorf("an SSH path may not contain quotes or shell characters")
	case strings.HasPrefix(strings.TrimLeft(a.path, "/"), "-"):
		return fmt.Errorf("its path starts with a hyphen")
	}
	return nil
}

// httpURL is the address for an HTTP client.
func (a address) httpURL() *url.URL {
	u, err := url.Parse(a.text)
	if err != nil {
		return &url.URL{Scheme: a.scheme, Host: a.host, Path: a.path}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u
}

func isControl(r rune) bool { return r <= ' ' || r == 0x7f }
