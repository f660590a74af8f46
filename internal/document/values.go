package document

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MaxName bounds the names that runs are made of: a run is called
// <name>-<12 hex>-<7 hex>, within the 63 characters of Kubernetes.
const MaxName = 63 - len("-0123456789ab-0123456")

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// ParseName takes a DNS label of at most MaxName characters.
func ParseName(text string) (string, error) { return ParseLabel(text, MaxName) }

// ParseLabel takes a DNS label of at most so many characters.
func ParseLabel(text string, most int) (string, error) {
	switch {
	case !label.MatchString(text):
		return "", fmt.Errorf("%s is not made of lower-case letters, digits and hyphens inside", Quoted(text))
	case len(text) > most:
		return "", fmt.Errorf("%q has %d characters, more than the %d that leave room for the names made of it", text[:min(20, len(text))]+"…", len(text), most)
	}
	return text, nil
}

// ParseBranch holds a name against the rules of git-check-ref-format.
func ParseBranch(text string) (string, error) {
	switch {
	case text == "", len(text) > 250:
		return "", errors.New("a branch has a name of 1 to 250 characters; left out, it is the remote's HEAD")
	case strings.HasPrefix(text, "refs/"):
		return "", fmt.Errorf("%s is a full ref; write the branch alone, as in main", Quoted(text))
	case strings.Contains(text, ".."), strings.Contains(text, "@{"), strings.HasSuffix(text, "."),
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }):
		return "", fmt.Errorf("%s is no name of a branch", Quoted(text))
	}
	for part := range strings.SplitSeq(text, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasPrefix(part, "-") || strings.HasSuffix(part, ".lock") {
			return "", fmt.Errorf("%s is no name of a branch", Quoted(text))
		}
	}
	return text, nil
}

// ParsePath takes a path that stays in its repository and out of .git, and gives
// it without what path.Clean takes away.
func ParsePath(text string) (string, error) {
	clean := path.Clean(text)
	switch {
	case text == "", len(text) > 1000, strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return "", errors.New("a path has 1 to 1000 characters, and slashes between its folders")
	case path.IsAbs(text), clean == "..", strings.HasPrefix(clean, "../"), strings.HasPrefix(clean, "-"), slices.Contains(strings.Split(clean, "/"), ".git"):
		return "", fmt.Errorf("%s leads out of the repository's files", Quoted(text))
	}
	return clean, nil
}

// ParseFile is ParsePath for a file.
func ParseFile(text string) (string, error) {
	clean, err := ParsePath(text)
	if err == nil && (clean == "." || strings.HasSuffix(text, "/")) {
		return "", fmt.Errorf("%s is a folder; a file belongs here", Quoted(text))
	}
	return clean, err
}
