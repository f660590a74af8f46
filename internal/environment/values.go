package environment

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Lengths of names. Both leave room for what is made of them within the 63
// characters of Kubernetes: a run is called <name>-<12 hex>-<7 hex>, and the
// namespace of the runs <namespace>-lockstep.
const (
	MaxName      = 63 - len("-0123456789ab-0123456")
	MaxNamespace = 63 - len("-lockstep")
)

const maxSoak = 366 * 24 * time.Hour

// parseReference takes any text: whether it is a name is known at the end.
func parseReference(text string) (string, error) {
	if text == "" {
		return "", errors.New("the name of an environment is empty")
	}
	return text, nil
}

func oneOf[T ~string](words ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if slices.Contains(words, T(text)) {
			return T(text), nil
		}
		names := make([]string, len(words))
		for i, word := range words {
			names[i] = string(word)
		}
		return "", fmt.Errorf("%s is not known here; %s", quoted(text), suggest(text, names))
	}
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func parseName(text string) (string, error)      { return parseLabel(text, MaxName) }
func parseNamespace(text string) (string, error) { return parseLabel(text, MaxNamespace) }

func parseLabel(text string, most int) (string, error) {
	switch {
	case !label.MatchString(text):
		return "", fmt.Errorf("%s is not made of lower-case letters, digits and hyphens inside", quoted(text))
	case len(text) > most:
		return "", fmt.Errorf("%q has %d characters, more than the %d that leave room for the names made of it", text[:20]+"…", len(text), most)
	}
	return text, nil
}

// scp is user@host:path, Git's short form for SSH. It cannot carry a password.
var scp = regexp.MustCompile(`^[^-@/:\s][^@/:\s]*@[^-@/:\s][^@/:\s]*:[^-\s]\S*$`)

var errURLForm = errors.New("it is none of https://host/path, ssh://user@host/path, user@host:path, file:///path or /path")

// parseRepository never repeats the text: one that cannot be read may hold a
// password as well.
func parseRepository(text string) (string, error) {
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

// sameRepository is equal for the ways to write one repository's URL: with and
// without .git, over SSH and HTTPS. A port that is not the scheme's own counts.
func sameRepository(text string) string {
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

// parseBranch holds a name against the rules of git-check-ref-format.
func parseBranch(text string) (string, error) {
	switch {
	case text == "", len(text) > 250:
		return "", errors.New("a branch has a name of 1 to 250 characters; left out, it is the remote's HEAD")
	case strings.HasPrefix(text, "refs/"):
		return "", fmt.Errorf("%s is a full ref; write the branch alone, as in main", quoted(text))
	case strings.Contains(text, ".."), strings.Contains(text, "@{"), strings.HasSuffix(text, "."),
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }):
		return "", fmt.Errorf("%s is no name of a branch", quoted(text))
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasPrefix(part, "-") || strings.HasSuffix(part, ".lock") {
			return "", fmt.Errorf("%s is no name of a branch", quoted(text))
		}
	}
	return text, nil
}

func parsePath(text string) (string, error) {
	clean := path.Clean(text)
	switch {
	case text == "", len(text) > 1000, strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return "", errors.New("a path has 1 to 1000 characters, and slashes between its folders")
	case path.IsAbs(text), clean == "..", strings.HasPrefix(clean, "../"), strings.HasPrefix(clean, "-"), slices.Contains(strings.Split(clean, "/"), ".git"):
		return "", fmt.Errorf("%s leads out of the repository's files", quoted(text))
	}
	return clean, nil
}

// parseFile is parsePath for a file, in which Placeholder may stand.
func parseFile(text string) (string, error) {
	clean, err := parsePath(text)
	if err == nil && (clean == "." || strings.HasSuffix(text, "/")) {
		return "", fmt.Errorf("%s is a folder; a file belongs here", quoted(text))
	}
	return clean, err
}

// parseValuePath looks only whether a text can be a path at all: whoever edits
// the file knows how one is written.
func parseValuePath(text string) (string, error) {
	if len(text) > 1000 || !strings.HasPrefix(text, ".") && !strings.HasPrefix(text, "[") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s is no path such as .image.tag or .list[name=web].tag", quoted(text))
	}
	return text, nil
}

func parseSoak(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is no duration such as 30m or 2h; days are written as hours, 72h", quoted(text))
	case d < 0 || d > maxSoak || d%time.Second != 0:
		return 0, fmt.Errorf("%s is not between 0s and %s, in whole seconds", quoted(text), Duration(maxSoak))
	}
	return Duration(d), nil
}
