package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

// TestWhatIsOnRecord: a repeated run adds nothing, unless the note's last word
// is another or cannot be read.
func TestWhatIsOnRecord(t *testing.T) {
	e := environment.Record{
		State: environment.Verified, Environment: "staging", Commit: "0123456789abcdef0123456789abcdef01234567", Run: "ci/run-1", Revision: 3,
		Finished: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Applications: []environment.Application{{Name: "user", Version: "2.3.118"}},
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	failed := e
	failed.State = environment.Failed
	failedText, err := json.Marshal(failed)
	if err != nil {
		t.Fatal(err)
	}
	again := failed
	again.Run = "ci/run-2"
	for name, c := range map[string]struct {
		note string
		e    environment.Record
		want bool
	}{
		"no note":                  {"", e, false},
		"the same":                 {string(text), e, true},
		"a person's word behind":   {string(text) + "\n\nlooks good", e, true},
		"a broken record behind":   {string(text) + "\n{\"state\":", e, false},
		"another state":            {string(text) + "\n" + string(failedText), e, false},
		"the same failure":         {string(failedText), failed, true},
		"a failure of another run": {string(failedText), again, false},
	} {
		if got := isKnown(t.Context(), c.note, c.e); got != c.want {
			t.Errorf("%s: known = %v, want %v", name, got, c.want)
		}
	}
}
