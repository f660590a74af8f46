// Package credential reads the files in which Git's users and Tekton keep
// credentials: .git-credentials, .gitconfig, and the files of Kubernetes
// secrets. It only reads; nothing is ever asked of a terminal or a helper
// program. What it finds never appears in its errors.
package credential

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/git/gitconfig"
)

// Folder is a folder with such files, as it was when it was read. The zero
// Folder knows nothing.
type Folder struct {
	entries []entry
	login   *entry // of a kubernetes.io/basic-auth secret: for one host only
	config  *gitconfig.File
}

// entry is one line of .git-credentials.
type entry struct{ scheme, host, path, user, password string }

// Read reads a folder: .git-credentials and .gitconfig, or username and
// password. Files that are not there are no error; a folder of "" is empty.
func Read(dir string) (*Folder, error) {
	f := &Folder{}
	if dir == "" {
		return f, nil
	}
	store, err := readOptional(filepath.Join(dir, ".git-credentials"))
	if err != nil {
		return nil, err
	}
	f.entries = parseStore(store)
	settings, err := readOptional(filepath.Join(dir, ".gitconfig"))
	if err != nil {
		return nil, err
	}
	if f.config, err = gitconfig.Parse(settings); err != nil {
		// The git program refuses to work then; credentials are worth trying.
		slog.Warn("ignore .gitconfig, it cannot be read", "file", filepath.Join(dir, ".gitconfig"), "reason", err)
	}
	return f, f.readLogin(dir)
}

func (f *Folder) readLogin(dir string) error {
	user, err := readOptional(filepath.Join(dir, "username"))
	if err != nil {
		return err
	}
	password, err := readOptional(filepath.Join(dir, "password"))
	if err != nil {
		return err
	}
	if len(password) > 0 {
		f.login = &entry{user: trimLine(user), password: trimLine(password)}
	}
	return nil
}

// trimLine: editors and kubectl --from-file add a final newline, which no
// user name or token has.
func trimLine(b []byte) string { return strings.TrimRight(string(b), "\r\n") }

func readOptional(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return b, nil
}

// parseStore reads the lines scheme://user:password@host/path of git's
// credential store. The parts are percent-encoded. Lines that are not of this
// form are skipped, as git does; the last one may lack its newline.
func parseStore(b []byte) []entry {
	var entries []entry
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		u, err := parseLine(strings.TrimSpace(lines.Text()))
		if err != nil || u.User == nil || u.Host == "" {
			continue
		}
		password, ok := u.User.Password()
		if !ok {
			continue
		}
		entries = append(entries, entry{
			scheme: strings.ToLower(u.Scheme), host: hostPort(u), path: trimPath(u.Path),
			user: u.User.Username(), password: password,
		})
	}
	return entries
}

// parseLine is url.Parse for lines that git wrote: it encodes the colon in front
// of a port as well, as %3a, and url.Parse refuses that.
func parseLine(line string) (*url.URL, error) {
	start := strings.Index(line, "://") + len("://")
	end := len(line)
	if i := strings.IndexByte(line[start:], '/'); i >= 0 {
		end = start + i
	}
	start += strings.LastIndexByte(line[start:end], '@') + 1
	host, err := url.PathUnescape(line[start:end])
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(line[:start] + host + line[end:])
	if err == nil && u.Host != host {
		return nil, errors.New("what stands behind the @ is no host")
	}
	return u, err
}

// hostPort is the host in lower case with its port, without a default port.
func hostPort(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch strings.ToLower(u.Scheme) {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}

func trimPath(p string) string { return strings.TrimSuffix(strings.Trim(p, "/"), ".git") }

// SameHost reports whether two URLs lead to the same scheme, host and port:
// credentials for one may then be used for the other.
func SameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && hostPort(a) == hostPort(b)
}

// Lookup finds the user and password for a URL. home is the URL of the
// repository that the folder was given for: a login without a host of its own
// is meant for that host and no other.
//
// Entries with a path count like git counts them: with
// credential.<url>.useHttpPath the path must match, without it an entry's path
// says nothing. The first entry wins.
func (f *Folder) Lookup(u, home *url.URL) (user, password string, ok bool) {
	if f.login != nil && home != nil && SameHost(u, home) {
		return f.login.user, f.login.password, true
	}
	user, usePath := f.settings(u)
	for _, e := range f.entries {
		if e.scheme != strings.ToLower(u.Scheme) || e.host != hostPort(u) ||
			user != "" && e.user != user ||
			usePath && e.path != repositoryPath(u) {
			continue
		}
		return e.user, e.password, true
	}
	return "", "", false
}

// repositoryPath is the path without what the protocol appends to it.
func repositoryPath(u *url.URL) string {
	p := strings.Trim(u.Path, "/")
	for _, suffix := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		p = strings.TrimSuffix(p, suffix)
	}
	return trimPath(p)
}

// settings are credential.*.username and useHttpPath of the sections that
// match the URL; the longer match wins.
func (f *Folder) settings(u *url.URL) (user string, usePath bool) {
	longestUser, longestPath := -1, -1
	for _, pattern := range f.config.Subsections("credential") {
		n, ok := matches(pattern, u)
		if !ok {
			continue
		}
		if v := f.config.Get("credential", pattern, "username"); v != "" && n > longestUser {
			user, longestUser = v, n
		}
		if v := f.config.Get("credential", pattern, "useHttpPath"); v != "" && n > longestPath {
			usePath, longestPath = gitconfig.IsTrue(v), n
		}
	}
	if v := f.config.Get("credential", "", "useHttpPath"); v != "" && longestPath < 0 {
		usePath = gitconfig.IsTrue(v)
	}
	return user, usePath
}

// matches compares the URL of a section with a repository's, and tells how
// much of the path it names.
func matches(pattern string, u *url.URL) (int, bool) {
	p, err := url.Parse(pattern)
	if err != nil || p.Host == "" || !SameHost(p, u) {
		return 0, false
	}
	want, have := trimPath(p.Path), repositoryPath(u)
	if want != "" && want != have && !strings.HasPrefix(have, want+"/") {
		return 0, false
	}
	return len(want), true
}

// Rewrite applies url.<base>.insteadOf: the longest prefix wins.
func (f *Folder) Rewrite(address string) string { return f.config.InsteadOf(address) }

// Option is a setting of .gitconfig such as http.sslVerify, for the URL: the
// longest http.<url>.* wins over http.*. "" when unset.
func (f *Folder) Option(section, name string, u *url.URL) string {
	value, longest := f.config.Get(section, "", name), -1
	for _, pattern := range f.config.Subsections(section) {
		if n, ok := matches(pattern, u); ok && n > longest {
			if v := f.config.Get(section, pattern, name); v != "" {
				value, longest = v, n
			}
		}
	}
	return value
}

// Secrets are the passwords that the folder holds, to be kept out of texts.
func (f *Folder) Secrets() []string {
	var all []string
	for _, e := range f.entries {
		all = append(all, e.password)
	}
	if f.login != nil {
		all = append(all, f.login.password)
	}
	return all
}
