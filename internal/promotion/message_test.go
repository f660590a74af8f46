package promotion_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

func promoted(name, from, to string) promotion.Applied {
	return promotion.Applied{
		Intent:  promotion.Intent{Kind: promotion.Dependency, File: "Chart.yaml", Name: name, From: from, To: to},
		Outcome: promotion.Promoted,
	}
}

func compose(t *testing.T, m promotion.Message, applied ...promotion.Applied) string {
	t.Helper()
	text, err := m.Compose(applied)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestMessage(t *testing.T) {
	t.Parallel()
	got := compose(t, promotion.Message{
		Changelog: "fix: one\n\nfeat: two\n",
		Trailers:  []string{"Lockstep-Environment: staging", "Lockstep-Source: ", "lockstep-operation: rollback"},
	}, promoted("web", "1.0.0", "1.0.1"))
	want := `chore: promote web to version 1.0.1

- fix: one
- feat: two

Lockstep-Application: web
Lockstep-Version: 1.0.1
Lockstep-Previous: 1.0.0
Lockstep-Environment: staging
lockstep-operation: rollback
`
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	value := promotion.Applied{Outcome: promotion.Promoted, Intent: promotion.Intent{
		Kind: promotion.Value, File: "values.yaml", Name: ".image.tag", From: "1", To: "2"}}
	superseded := promoted("old", "1.0.0", "0.9.0")
	superseded.Outcome = promotion.Superseded
	for want, applied := range map[string][]promotion.Applied{
		"chore: edit files": {superseded},
		"chore: promote web to version 1.0.1, api to version 2.0.0": {promoted("web", "1.0.0", "1.0.1"), superseded, promoted("api", "1.0.0", "2.0.0")},
		`chore: promote .image.tag of values.yaml to "2"`:           {value},
		"chore: promote a to version 1 and 3 more":                  {promoted("a", "0", "1"), promoted("b", "0", "1"), promoted("c", "0", "1"), promoted("d", "0", "1")},
	} {
		if got, _, _ := strings.Cut(compose(t, promotion.Message{}, applied...), "\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestRow46_ChangelogIsHarmless: other people's subjects tell no CI system to
// skip, pass for no trailer and control no terminal.
func TestRow46_ChangelogIsHarmless(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"fix [skip ci]":                          "- fix (skip ci)",
		"fix [CI Skip] [no ci]":                  "- fix (CI Skip) (no ci)",
		"fix [skip actions][actions skip]":       "- fix (skip actions)(actions skip)",
		"fix [skip-ci] [ skip  ci ]":             "- fix (skip-ci) (skip ci)",
		"fix [ski\u200bp ci]":                    "- fix (skip ci)",
		"fix [skip\x00 ci]":                      "- fix (skip ci)",
		"fix ***NO_CI***":                        "- fix (NO_CI)",
		"skip-checks: true":                      "- (skip-checks true)",
		"Lockstep-Operation: rollback":           "- Lockstep-Operation: rollback",
		"red \x1b[31malert\x07":                  "- red [31malert",
		"a\tb\u2028c\u202ed":                     "- a b cd",
		strings.Repeat("x", 500):                 "- " + strings.Repeat("x", 199) + "…",
		"see https://u:c4nary@git.example.com/a": "c4nary",
	} {
		text := compose(t, promotion.Message{Changelog: line}, promoted("web", "1.0.0", "1.0.1"))
		if want == "c4nary" {
			if strings.Contains(text, want) {
				t.Errorf("%q keeps its secret: %s", line, text)
			}
			continue
		}
		if got := strings.Split(text, "\n\n")[1]; got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}

func TestChangelogIsBounded(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 100 {
		fmt.Fprintf(&log, "commit %d\n", i)
	}
	lines := strings.Split(strings.Split(compose(t, promotion.Message{Changelog: log.String()}), "\n\n")[1], "\n")
	if len(lines) != 21 || lines[20] != "- …" {
		t.Errorf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

func TestRow46_TrailersStayOneLine(t *testing.T) {
	t.Parallel()
	text := compose(t, promotion.Message{Trailers: []string{"Lockstep-Run: a\nLockstep-Operation: rollback"}}, promoted("web", "1", "2"))
	if !strings.Contains(text, "\nLockstep-Run: a Lockstep-Operation: rollback\n") {
		t.Errorf("a trailer made another:\n%s", text)
	}
	for _, line := range []string{"", "no colon", ": x", "a b: c", ":"} {
		if _, err := (promotion.Message{Trailers: []string{line}}).Compose(nil); fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("trailer %q: %v, want a usage error", line, err)
		}
	}
}
