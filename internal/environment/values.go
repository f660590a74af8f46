package environment

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/document"
)

// Lengths of names. Both leave room for what is made of them within the 63
// characters of Kubernetes: runs are called after the environment, and their
// namespace is <namespace>-lockstep.
const (
	MaxName      = document.MaxName
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

func parseNamespace(text string) (string, error) { return document.ParseLabel(text, MaxNamespace) }

// parseValuePath looks only whether a text can be a path at all: whoever edits
// the file knows how one is written.
func parseValuePath(text string) (string, error) {
	if len(text) > 1000 || !strings.HasPrefix(text, ".") && !strings.HasPrefix(text, "[") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s is no path such as .image.tag or .list[name=web].tag", document.Quoted(text))
	}
	return text, nil
}

func parseSoak(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is no duration such as 30m or 2h; days are written as hours, 72h", document.Quoted(text))
	case d < 0 || d > maxSoak || d%time.Second != 0:
		return 0, fmt.Errorf("%s is not between 0s and %s, in whole seconds", document.Quoted(text), Duration(maxSoak))
	}
	return Duration(d), nil
}
