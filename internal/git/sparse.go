package git

import (
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// sparse decides which files of a checkout are written. Its patterns are those
// of .gitignore, read the other way round: what matches is there. nil: all.
type sparse struct {
	lines   []string
	matcher gitignore.Matcher
}

// newSparse takes patterns such as "charts/", "/docs/*.md" and "!charts/old/".
func newSparse(patterns []string) *sparse {
	s := &sparse{}
	var parsed []gitignore.Pattern
	for _, p := range patterns {
		if p = strings.TrimSpace(p); p != "" {
			s.lines = append(s.lines, p)
			parsed = append(parsed, gitignore.ParsePattern(p, nil))
		}
	}
	if len(s.lines) == 0 {
		return nil
	}
	s.matcher = gitignore.NewMatcher(parsed)
	return s
}

func (s *sparse) leavesOut(path string) bool {
	if s == nil {
		return false
	}
	// A file is there with its folder, unless a later pattern takes it out.
	return !s.matcher.Match(strings.Split(path, "/"), false)
}

// text is the file .git/info/sparse-checkout.
func (s *sparse) text() string { return strings.Join(s.lines, "\n") + "\n" }
