package environment_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// line is one record of a note.
func line(state, version, finished string) string {
	return fmt.Sprintf(`{"state":%q,"environment":"staging","commit":%q,"run":"ci/run-1","revision":3,"started":%q,"finished":%q,"applications":[{"name":"user","version":%q}]}`,
		state, commit, finished, finished, version)
}

func states(records []environment.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.State))
	}
	return strings.Join(all, " ")
}

func TestRecordsAreReadAsTheyAreWritten(t *testing.T) {
	want := line("verified", "2.3.119", "2026-03-02T10:00:00Z")
	records, warnings := environment.ParseRecords(commit, want+"\n")
	if len(records) != 1 || len(warnings) != 0 {
		t.Fatalf("%v, %v", records, warnings)
	}
	if got, err := json.Marshal(records[0]); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// TestABrokenRecordVerifiesNothing: it does not count, and neither does what
// stands before it as the last word; records behind it count again.
func TestABrokenRecordVerifiesNothing(t *testing.T) {
	good := line("verified", "1.0.0", "2026-03-02T10:00:00Z")
	for name, c := range map[string]struct {
		line     string
		states   string // behind a verified one
		warnings int
	}{
		"empty":              {"", "verified", 0},
		"a person's words":   {"looks good to me", "verified", 1},
		"another commit's":   {strings.Replace(good, commit, strings.Repeat("f", 40), 1), "verified", 1},
		"unknown keys":       {strings.Replace(good, "{", `{"later":{"more":[1]},`, 1), "verified verified", 0},
		"unknown state":      {line("paused", "1.0.0", "2026-03-02T10:00:00Z"), "verified paused", 0},
		"cut":                {good[:60], "verified unreadable", 1},
		"other types":        {strings.Replace(good, `"revision":3`, `"revision":"3"`, 1), "verified unreadable", 1},
		"no time":            {strings.Replace(good, `"finished"`, `"ended"`, 1), "verified unreadable", 1},
		"no commit":          {strings.Replace(good, `"commit"`, `"of"`, 1), "verified unreadable", 1},
		"an application, 2×": {strings.Replace(good, `[{`, `[{"name":"user","version":"2.0.0"},{`, 1), "verified unreadable", 1},
		"what we never say":  {line("unreadable", "1.0.0", "2026-03-02T10:00:00Z"), "verified unreadable", 1},
		"deep":               {`{"applications":` + strings.Repeat("[", 100_000), "verified unreadable", 1},
	} {
		t.Run(name, func(t *testing.T) {
			records, warnings := environment.ParseRecords(commit, good+"\n"+c.line+"\n")
			if states(records) != c.states || len(warnings) != c.warnings {
				t.Errorf("got %s, %v; want %s, %d warnings", states(records), warnings, c.states, c.warnings)
			}
			if alone, _ := environment.ParseRecords(commit, c.line); c.warnings > 0 && len(alone) != 0 {
				t.Errorf("alone it is a record: %v", alone)
			}
		})
	}
}

func TestRow34_OfALargeNoteTheEndIsRead(t *testing.T) {
	good := line("verified", "1.0.0", "2026-03-02T10:00:00Z")
	records, warnings := environment.ParseRecords(commit, strings.Repeat(good+"\n", 20_000)+line("failed", "1.0.0", "2026-03-02T11:00:00Z"))
	if len(records) > 1<<20/len(good) || records[len(records)-1].State != environment.Failed || len(warnings) != 1 {
		t.Errorf("%d records, %v", len(records), warnings)
	}
}
