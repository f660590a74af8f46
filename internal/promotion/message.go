package promotion

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
)

// Message is what a commit says beside what its intents say.
type Message struct {
	Text      string   // subject and body; "": composed from the intents
	Changelog string   // subjects of the application's commits, one a line
	Trailers  []string // "Key: value"; they replace composed ones of that key
}

// Bounds of the changelog in a message.
const (
	maxChangelogLines = 20
	maxChangelogLine  = 200 // characters
)

// Operations of the trailer Lockstep-Operation that this package writes.
const (
	operationPromote  = "promote"
	operationRemove   = "remove"
	operationEdit     = "edit"
	operationRollback = "rollback"
	operationHold     = "hold"
	operationReject   = "reject"
	operationRelease  = "release"
)

// Operations of the trailer in the repository of environments.yaml, which say that an
// environment or an application came or went.
const (
	CreateEnvironment = "create-environment"
	EditEnvironment   = "edit-environment"
	DeleteEnvironment = "delete-environment"
	AddApplication    = "add-application"
	EditApplication   = "edit-application"
	DeleteApplication = "delete-application"
)

// About are the trailers of a commit about an environment that is no promotion.
func About(operation, environment string) []string {
	return []string{operationTrailer + operation, environmentTrailer + environment}
}

// AboutApplication are the trailers of a commit about an application that is no
// promotion.
func AboutApplication(operation, application string) []string {
	return []string{operationTrailer + operation, applicationTrailer + application}
}

// OperationOf reads what a commit is about from its trailers; "" where they do not
// say.
func OperationOf(message string) (operation, environment string) {
	paragraphs := strings.Split(strings.TrimSpace(message), "\n\n")
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		if value, ok := strings.CutPrefix(line, operationTrailer); ok {
			operation = strings.TrimSpace(value)
		}
		if value, ok := strings.CutPrefix(line, environmentTrailer); ok {
			environment = strings.TrimSpace(value)
		}
	}
	return operation, environment
}

const (
	operationTrailer   = "Lockstep-Operation: "
	environmentTrailer = "Lockstep-Environment: "
	applicationTrailer = "Lockstep-Application: "
)

// operation is what a mark of a hold is called.
func (h Hold) operation(m Mark) string {
	switch {
	case m == MarkRelease:
		return operationRelease
	case h.Version != "":
		return operationReject
	}
	return operationHold
}

// Compose gives the commit's message: subject and body, the changelog, and the
// trailers as the last paragraph, which Git's own tools read.
func (m Message) Compose(applied []Applied) (string, error) {
	trailers, err := m.trailers(applied)
	if err != nil {
		return "", err
	}
	text := clean(m.Text)
	if text == "" {
		text = subject(applied)
	}
	paragraphs := []string{text}
	if log := changelog(m.Changelog); log != "" {
		paragraphs = append(paragraphs, log)
	}
	paragraphs = append(paragraphs, strings.Join(trailers, "\n"))
	return redact.Text(strings.Join(paragraphs, "\n\n") + "\n"), nil
}

// subject says what the intents change.
func subject(applied []Applied) string {
	var parts []string
	for _, a := range applied {
		if a.Outcome != Promoted {
			continue
		}
		part := fmt.Sprintf("%s to version %s", a.Intent.Application(), a.Intent.To)
		if a.Intent.Kind == Value && a.Intent.Of == "" {
			part = fmt.Sprintf("%s of %s to %.40q", a.Intent.Name, a.Intent.File, a.Intent.To)
		}
		parts = append(parts, oneLine(part))
	}
	switch {
	case len(parts) == 0:
		return "chore: edit files"
	case len(parts) > 3:
		return fmt.Sprintf("chore: promote %s and %d more", parts[0], len(parts)-1)
	}
	return "chore: promote " + strings.Join(parts, ", ")
}

var trailerForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*):\s*(\S.*)$`)

// unsetTrailer has a key and no value: the parameter that it is made from was
// not given.
var unsetTrailer = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*:\s*$`)

func (m Message) trailers(applied []Applied) ([]string, error) {
	own := make([]string, 0, len(m.Trailers))
	var keys []string
	for _, line := range m.Trailers {
		if unsetTrailer.MatchString(oneLine(line)) {
			continue
		}
		match := trailerForm.FindStringSubmatch(oneLine(line))
		if match == nil {
			return nil, fault.Usage("InvalidTrailer", fmt.Errorf("trailer %.80q is not of the form Key: value", line),
				"Example: Lockstep-Environment: staging")
		}
		keys = append(keys, strings.ToLower(match[1]))
		own = append(own, match[1]+": "+match[2])
	}
	composed := slices.DeleteFunc(composedTrailers(applied), func(line string) bool {
		key, _, _ := strings.Cut(line, ":")
		return slices.Contains(keys, strings.ToLower(key))
	})
	return append(composed, own...), nil
}

func composedTrailers(applied []Applied) []string {
	operation := operationEdit
	var lines []string
	for _, a := range applied {
		if a.Outcome != Promoted {
			continue
		}
		version := a.Intent.To
		switch operation = operationPromote; {
		case a.Intent.Mark != "":
			operation, version = a.Intent.Hold.operation(a.Intent.Mark), a.Intent.Hold.Version
		case a.Intent.Kind == Removal:
			operation, version = operationRemove, ""
		}
		for _, line := range []struct{ key, value string }{
			{applicationTrailer, a.Intent.Application()}, {"Lockstep-Version: ", version}, {"Lockstep-Previous: ", a.Intent.From},
		} {
			if value := oneLine(line.value); value != "" {
				lines = append(lines, line.key+value)
			}
		}
	}
	return append([]string{operationTrailer + operation}, lines...)
}

// changelog makes other people's words harmless: what they wrote as subjects
// must not end a paragraph, pass for a trailer, or tell a forge or CI system
// not to run.
func changelog(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = oneLine(line)
		if line == "" {
			continue
		}
		if len(lines) == maxChangelogLines {
			lines = append(lines, "- …")
			break
		}
		lines = append(lines, "- "+neutral(strings.TrimPrefix(cut(line, maxChangelogLine), "- ")))
	}
	return strings.Join(lines, "\n")
}

// ciMarks are what GitHub, GitLab, Gitea, Bitbucket, Azure and Jenkins take as
// "do not run", in brackets or between stars, or as a line of its own.
var ciMarks = regexp.MustCompile(`(?i)\[\s*((?:skip|no)[\s_-]*[a-z]+|[a-z]+[\s_-]*skip)\s*\]|\*\*\*\s*(no_ci)\s*\*\*\*|(?:skip-checks):\s*(true)`)

func neutral(line string) string {
	return ciMarks.ReplaceAllStringFunc(line, func(mark string) string {
		return "(" + strings.Trim(strings.ReplaceAll(mark, ":", ""), "[]* ") + ")"
	})
}

// clean takes out what terminals, editors and forges act on instead of
// showing: control characters, marks of direction, invisible ones. Line breaks
// stay.
func clean(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r' || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// cut is a text of at most so many characters.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// brief is a text as one line of bounded length.
func brief(text string) string { return cut(oneLine(text), 300) }

// oneLine is clean without line breaks.
func oneLine(text string) string {
	return strings.Join(strings.Fields(clean(text)), " ")
}
