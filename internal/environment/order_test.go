package environment_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

// sequence reads "A 5 failed 10:00" – commit, revision, state and end – and names each
// record by its number, from 1. Further words are after=N and installed=TIME.
func sequence(text string) []environment.Record {
	var records []environment.Record
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		r := environment.Record{
			Environment: "staging", Commit: words[0], State: environment.State(words[2]), Finished: at(words[3]), Run: fmt.Sprint(len(records) + 1),
		}
		_, err := fmt.Sscan(words[1], &r.Revision)
		for _, word := range words[4:] {
			key, value, _ := strings.Cut(word, "=")
			if key == "after" {
				_, err = fmt.Sscan(value, &r.After)
			} else {
				r.Installed = at(value)
			}
		}
		if err != nil {
			panic(err)
		}
		records = append(records, r)
	}
	return records
}

func numbers(records []environment.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Run)
	}
	return strings.Join(all, " ")
}

// TestRow51_TheOrderOfDeployments: what is better than a clock goes first. Commits come
// one after the other, A first.
func TestRow51_TheOrderOfDeployments(t *testing.T) {
	for name, c := range map[string]struct{ records, history, want string }{
		"the revision, in one second":      {"B 2 failed 10:00\nC 3 deployed 10:00\nA 1 verified 10:00", "", "3 1 2"},
		"the revision, by another clock":   {"A 2 verified 09:00\nB 1 failed 10:00", "A B", "2 1"},
		"the commit, of one revision":      {"B 1 verified 10:00\nA 1 failed 10:00", "A B", "2 1"},
		"the line":                         {"A 1 failed 10:00\nA 1 verified 10:00", "A", "1 2"},
		"the line, by another clock":       {"A 1 failed 10:01\nA 1 verified 10:00", "", "1 2"},
		"time at last":                     {"B 1 failed 10:01\nA 1 verified 10:00", "", "2 1"},
		"behind the revision that was":     {"B 0 failed 10:00 after=1\nA 1 verified 10:00\nC 2 verified 10:00", "", "2 1 3"},
		"two behind one, by their commits": {"C 0 failed 10:00 after=1\nB 0 failed 10:00 after=1\nA 1 verified 10:00", "A B C", "3 2 1"},
		"behind the commit before":         {"B 0 failed 10:00\nA 1 verified 10:00\nC 2 verified 10:00", "A B C", "2 1 3"},
		"behind the line before":           {"A 1 verified 10:00\nA 3 verified 10:00\nA 0 failed 10:00\nB 2 verified 10:00", "A B", "1 4 2 3"},
		"in front of the line after":       {"A 0 failed 10:00\nA 1 verified 10:00", "", "1 2"},
		"in front of the commit behind":    {"B 1 verified 10:00\nA 0 failed 10:00", "A B", "2 1"},
		"by time where nothing is known":   {"B 0 failed 10:05\nA 1 verified 10:00\nC 2 verified 10:10", "", "2 1 3"},
		"nothing was ever installed":       {"B 0 failed 10:01\nA 0 failed 10:00", "", "2 1"},
		"installed again":                  {"A 57 verified 10:00 installed=09:00\nB 1 deployed 10:00 installed=10:00", "", "1 2"},
		"installed again, an old record":   {"A 57 verified 09:00\nB 1 deployed 10:00 installed=10:00", "", "1 2"},
		"an old record of it":              {"B 58 verified 10:00 installed=09:00\nA 57 verified 10:00", "", "2 1"},
		"a week later, old records":        {"A 57 verified 2026-02-02T10:00:00Z\nB 1 deployed 10:00", "", "1 2"},
		"written twice":                    {"A 1 verified 10:00\nA 1 failed 11:00", "", "1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			history := strings.Fields(c.history)
			slices.Reverse(history)
			records := sequence(c.records)
			if got := numbers(environment.Ordered(records, "staging", history)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if last, ok := environment.Last(records, "staging", history); !ok || !strings.HasSuffix(c.want, last.Run) {
				t.Errorf("the last is %+v", last)
			}
		})
	}
}

// TestRow51_TenInOneSecond: whatever order notes are read in, the last revision is the
// last deployment, and gates and rollbacks go by it.
func TestRow51_TenInOneSecond(t *testing.T) {
	var records []environment.Record
	for n := range 10 {
		r := environment.Record{
			Environment: "staging", Commit: fmt.Sprint(n), State: environment.Verified, Revision: n + 1, Finished: at("10:00"), Started: at("10:00"),
			Applications: []environment.Application{{Name: "user", Version: fmt.Sprintf("1.0.%d", n)}},
		}
		if n == 8 {
			r.State = environment.Failed
		}
		records = append(records, r)
	}
	for shift := range records {
		mixed := slices.Concat(records[shift:], records[:shift])
		if last, _ := environment.Last(mixed, "staging", nil); last.Revision != 10 {
			t.Errorf("the last is revision %d", last.Revision)
		}
		if last, _ := environment.LastApplied(mixed, "staging"); last.Revision != 10 {
			t.Errorf("the last that was applied is revision %d", last.Revision)
		}
		if last, _ := environment.LastVerified(mixed, "staging"); last.Revision != 10 {
			t.Errorf("the last that was verified is revision %d", last.Revision)
		}
		if verified := environment.StillVerified(mixed, "staging"); len(verified) != 9 || verified[1].Revision != 8 {
			t.Errorf("verified are %+v", verified)
		}
	}
	e := production(t, "  after: [staging]\n")
	back := append(slices.Clone(records), environment.Record{
		Environment: "staging", Commit: "back", State: environment.Verified, Revision: 11, Finished: at("10:00"), Applications: []environment.Application{{Name: "user", Version: "1.0.7"}},
	})
	slices.Reverse(back)
	for version, open := range map[string]bool{"1.0.7": true, "1.0.8": false, "1.0.9": false} {
		d := e.Decide(environment.Promotion{Application: "user", Version: version}, map[string]environment.Upstream{"staging": {Records: back}}, at("10:00").Add(time.Second))
		if d.Open() != open {
			t.Errorf("%s after the rollback: %s", version, d.Reason())
		}
	}
}
