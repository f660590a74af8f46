package git

import (
	"fmt"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// checkRef holds a full ref name against the rules of git-check-ref-format. A
// name is also a path below .git, so nothing else may become one.
func checkRef(name string) error {
	if why := wrongRef(name); why != "" {
		return fault.Usage("InvalidRevision", fmt.Errorf("%w ref name %.100q: %s", ErrInvalid, name, why),
			"Give a branch (main), a tag (v1.2.3), a full ref (refs/…) or a commit of 40 hexadecimal digits.")
	}
	return nil
}

func wrongRef(name string) string {
	switch {
	case !strings.HasPrefix(name, "refs/"):
		return "a full name starts with refs/"
	case len(name) > 1024:
		return "it is too long"
	case strings.Contains(name, ".."), strings.Contains(name, "@{"), strings.HasSuffix(name, "."):
		return "it contains .. or @{ or ends with a dot"
	case strings.ContainsFunc(name, func(r rune) bool { return isControl(r) || strings.ContainsRune(`~^:?*[\`, r) }):
		return "it contains a space, a control character or one of ~^:?*[\\"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return "it has an empty part"
		case strings.HasPrefix(part, "."), strings.HasSuffix(part, ".lock"):
			return "a part starts with a dot or ends with .lock"
		case strings.HasPrefix(part, "-"):
			return "a part starts with a hyphen"
		}
	}
	return ""
}

// BranchRef is the full name of a branch that is given with or without
// refs/heads/; "" stays "", the remote's HEAD.
func BranchRef(branch string) string {
	if branch == "" || branch == "HEAD" || strings.HasPrefix(branch, "refs/") {
		return branch
	}
	return "refs/heads/" + branch
}

// candidates are the full names that a short ref may mean where a branch is
// meant first. "" has none: it means the remote's HEAD.
func candidates(ref string) ([]string, error) {
	if ref == "" || ref == "HEAD" {
		return nil, nil
	}
	names := []string{"refs/heads/" + ref, "refs/tags/" + ref}
	if strings.HasPrefix(ref, "refs/") {
		names = []string{ref}
	}
	for _, n := range names {
		if err := checkRef(n); err != nil {
			return nil, err
		}
	}
	return names, nil
}
