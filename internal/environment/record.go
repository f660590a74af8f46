package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/signature"
)

// State says what became of a deployment.
type State string

// The states of a Record. One that is not of this list never counts as verified.
const (
	Verified   State = "verified"   // it runs and was found healthy
	Deployed   State = "deployed"   // it was not verified
	Failed     State = "failed"     // it is not known to run
	Superseded State = "superseded" // a newer commit was deployed instead
	Unreadable State = "unreadable" // ParseRecords could not read the line; it is never written
)

// Record is what became of one deployment: one line of JSON in the Git note of
// the deployed commit. Times are the cluster's, in whole seconds.
type Record struct {
	State        State         `json:"state"`
	Environment  string        `json:"environment"`
	Commit       string        `json:"commit"`
	Run          string        `json:"run"`      // namespace/name
	Revision     int           `json:"revision"` // of the Helm release; 0: none was made
	Started      time.Time     `json:"started,omitzero"`
	Finished     time.Time     `json:"finished,omitzero"`
	Applications []Application `json:"applications"`
	Reason       string        `json:"reason,omitempty"` // a CamelCase class
	// Unhealthy says of a Failed one that verification found so: nothing that may
	// have another cause, such as a run that was stopped.
	Unhealthy bool `json:"unhealthy,omitempty"`
	// After is, of a deployment that made no revision, the one that was there; 0: none,
	// or the record does not say.
	After int `json:"after,omitempty"`
	// Installed is when the release was installed: its revisions are counted from there.
	Installed time.Time `json:"installed,omitzero"`
	// ExitCode is that of the step that failed: after 2, 3 and 4 a repetition cannot
	// help. 0: unknown, such as of a step that was killed, or in records of versions
	// before this key.
	ExitCode int `json:"exitCode,omitempty"`
}

// Application is one service of an environment. Name is its alias there, where
// it has one.
type Application struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// maxNote bounds what is read of one note: its end, since the newest line is last.
const maxNote = 1 << 20 // bytes

// ParseRecords reads the note of a commit, oldest record first. Whoever may
// push can write to a note, so what cannot be read is a warning and closes no
// more than it must: a line that is no JSON object is left out; one that looks
// like a record and cannot be read becomes an Unreadable one of what the record
// before it deployed, whose word is not the last then. Unknown keys are
// ignored.
//
// With keys, only what one of them signed is a record; anything else neither
// opens nor closes a gate. A signature holds for its commit and environment,
// which it covers. That a record was taken away is not seen.
func ParseRecords(commit, note string, keys ...signature.PublicKey) (records []Record, warnings []error) {
	if len(note) > maxNote {
		warnings = append(warnings, fmt.Errorf("note of %.12s: only the last %d of %d bytes are read", commit, maxNote, len(note)))
		_, note, _ = strings.Cut(note[len(note)-maxNote:], "\n")
	}
	number, unsigned := 0, 0
	for line := range strings.Lines(note) {
		number++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		r, err := parseRecord(commit, line, keys)
		if errors.Is(err, signature.ErrNotTrusted) {
			unsigned++
			continue
		}
		if err != nil {
			warnings = append(warnings, fmt.Errorf("note of %.12s, line %d: %w", commit, number, err))
			if !errors.Is(err, errNoRecord) && len(records) > 0 {
				last := records[len(records)-1]
				last.State, last.Reason = Unreadable, ""
				records = append(records, last)
			}
			continue
		}
		records = append(records, r)
	}
	if unsigned > 0 {
		warnings = append(warnings, fmt.Errorf("note of %.12s: %d lines are not signed by a recordKey and do not count", commit, unsigned))
	}
	return records, warnings
}

// errNoRecord marks what says nothing about this commit's deployments.
var errNoRecord = errors.New("it is no record of this commit")

func parseRecord(commit, line string, keys []signature.PublicKey) (Record, error) {
	if !strings.HasPrefix(line, "{") {
		return Record{}, errNoRecord
	}
	if len(keys) > 0 {
		var err error
		if line, err = signedPart(line, keys); err != nil {
			return Record{}, err
		}
	}
	var r Record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return Record{}, errors.New("it is no JSON of a record")
	}
	if r.Commit != "" && r.Commit != commit { // a note that was copied to another commit
		return Record{}, errNoRecord
	}
	return r, r.check()
}

func (r Record) check() error {
	switch {
	case r.State == "" || r.Environment == "" || r.Commit == "" || r.Finished.IsZero():
		return errors.New("state, environment, commit or finished is missing")
	case r.State == Unreadable:
		return errors.New("a state that is never written")
	}
	seen := map[string]bool{}
	for _, a := range r.Applications {
		if seen[a.Name] {
			return errors.New("one application stands in it twice")
		}
		seen[a.Name] = true
	}
	return nil
}

// beforeSignature stands between a record and its signature, which is the last
// key of the line.
const beforeSignature = `,"signature":"`

// Line is the record as a line of a note, signed with an SSH key; nil: by
// nobody. What is signed are the bytes of the line without its signature, so
// that nobody has to write JSON in the same way to check it.
func (r Record) Line(key *signature.Key) (string, error) {
	text, err := json.Marshal(r)
	if err != nil || key == nil {
		return string(text), err
	}
	armored, err := key.Sign(signature.Record, text)
	if err != nil {
		return "", err
	}
	return string(text[:len(text)-1]) + beforeSignature + signature.Line(armored) + `"}`, nil
}

// signedPart is what of a line was signed by one of the keys, as it was;
// signature.ErrNotTrusted where that is nothing.
func signedPart(line string, keys []signature.PublicKey) (string, error) {
	at := strings.LastIndex(line, beforeSignature)
	if at < 0 || !strings.HasSuffix(line, `"}`) {
		return "", signature.ErrNotTrusted
	}
	text, signed := line[:at]+"}", strings.TrimSuffix(line[at+len(beforeSignature):], `"}`)
	_, err := signature.SignersOf(keys...).Verify(signature.Record, []byte(text), signature.Armored(signed), time.Time{})
	return text, err
}

// Version of an application at this deployment; "" when it is not there.
func (r Record) Version(application string) string {
	for _, a := range r.Applications {
		if a.Name == application {
			return a.Version
		}
	}
	return ""
}
