package promotion_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

var digest = "@sha256:" + strings.Repeat("3e", 32)

// TestRow61_NeverDownwards: what stands there is no plain version, and an automatic
// promotion meets it in every kind of file.
func TestRow61_NeverDownwards(t *testing.T) {
	files := map[string]struct {
		file string
		i    promotion.Intent
	}{
		"a chart":         {"dependencies:\n- name: web\n  version: «»\n  repository: https://a\n", promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web"}},
		"a kustomization": {"images:\n- name: web\n  newTag: «»\n", promotion.Intent{File: "kustomization.yaml", Kind: promotion.Entry, Name: "web"}},
		"a value":         {"image:\n  tag: «»\n", promotion.Intent{File: "values.yaml", Kind: promotion.Value, Name: ".image.tag"}},
	}
	for name, test := range map[string]struct {
		now, to string
		want    promotion.Outcome
		reason  string
		notIn   string // kinds of files to which this does not apply
	}{
		"lower than a digest's tag":  {"2.3.120" + digest, "2.3.119", promotion.Superseded, "", ""},
		"higher than a digest's tag": {"2.3.120" + digest, "2.3.121", promotion.Promoted, "", ""},
		"pinned already":             {"2.3.120" + digest, "2.3.120", promotion.Unchanged, "", ""},
		"lower than v":               {"v2.3.120", "2.3.119", promotion.Superseded, "", ""},
		"lower than an image":        {"registry/web:2.3.120" + digest, "2.3.119", promotion.Superseded, "", ""},
		"below a range":              {"^2.3.0", "2.2.9", promotion.Superseded, "", ""},
		"inside a range":             {"^2.3.0", "2.3.119", "", "VersionRange", ""},
		"above a range":              {"^2.3.0", "3.0.0", promotion.Promoted, "", ""},
		"inside two bounds":          {">=2.3.0 <2.4.0", "2.3.119", "", "VersionRange", ""},
		"inside a wildcard":          {"2.3.x", "2.3.119", "", "VersionRange", ""},
		"inside 2.3":                 {"\"2.3\"", "2.3.119", "", "VersionRange", "a value"},
		"above 2.3":                  {"\"2.3\"", "2.4.0", promotion.Promoted, "", ""},
		"a word":                     {"latest", "2.3.119", promotion.Promoted, "", ""},
	} {
		for kind, f := range files {
			if kind == test.notIn {
				continue
			}
			t.Run(kind+"/"+name, func(t *testing.T) {
				i := f.i
				i.To = test.to
				before := strings.Replace(f.file, "«»", quoted(test.now), 1)
				got, err := promotion.Begin(context.Background(), tree{i.File: before}, i)
				if got.Outcome != test.want || fault.Of(err).Reason != test.reason && test.reason != "" || (err != nil) != (test.reason != "") {
					t.Fatalf("outcome %q, %v; want %q, %s", got.Outcome, err, test.want, test.reason)
				}
				if test.want != promotion.Promoted {
					if len(got.Files) != 0 {
						t.Errorf("wrote %q", got.Files)
					}
				} else if out := string(got.Files[i.File]); !strings.Contains(out, test.to) || strings.Contains(out, "@") {
					t.Errorf("wrote %s", out)
				}
			})
		}
	}
}

// quoted is a text as YAML takes it for one.
func quoted(text string) string {
	if strings.HasPrefix(text, `"`) {
		return text
	}
	return `"` + text + `"`
}

// TestRow61_ALockDecides: of a range that a lock has chosen a version of, that
// version counts; a lock that does not belong to it says nothing.
func TestRow61_ALockDecides(t *testing.T) {
	for name, test := range map[string]struct {
		locked, to string
		want       promotion.Outcome
		refused    bool
	}{
		"lower":             {"2.3.120", "2.3.119", promotion.Superseded, false},
		"higher":            {"2.3.118", "2.3.119", promotion.Promoted, false},
		"of another range":  {"1.0.0", "2.3.119", "", true},
		"locked as it is":   {"2.3.119", "2.3.119", promotion.Promoted, false},
		"above the range":   {"2.3.118", "3.0.0", promotion.Promoted, false},
		"locked to a range": {"^2.3.0", "2.3.119", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			files := tree{"Chart.yaml": list("^2.3.0"), "Chart.lock": "dependencies:\n- {name: web, repository: 'https://a', version: " + test.locked + "}\ndigest: sha256:00\n"}
			i := promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", To: test.to}
			got, err := promotion.Begin(context.Background(), files, i)
			if got.Outcome != test.want || (err != nil) != test.refused {
				t.Errorf("outcome %q, %v; want %q", got.Outcome, err, test.want)
			}
		})
	}
}

// TestRow61_AskedForByName: a person's version replaces a range and a digest.
func TestRow61_AskedForByName(t *testing.T) {
	for _, now := range []string{"^2.3.0", "2.3.120"} {
		i := promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", To: "2.3.119", Exact: true}
		got, err := promotion.Begin(context.Background(), tree{"Chart.yaml": list(now)}, i)
		if err != nil || got.Outcome != promotion.Promoted {
			t.Errorf("%s: %s, %v", now, got.Outcome, err)
		}
	}
}
