package environment

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/lockstep-cd/lockstep/internal/precedence"
)

// standing is how one version of an application stands in an environment.
type standing struct {
	why   string    // why it does not count as verified; "" when it does
	since time.Time // when the verification that still holds finished
	until time.Time // when another version took its place; zero while it is there
	by    string    // that other version
}

// standingOf follows the records in the order of the deployments. While a
// version is there its last record decides, so a deployment that fails takes
// the verification away, whichever application was the reason, and the next
// verification counts anew. A version that a higher one replaced keeps what it
// had: environments move on. One that a lower version replaced, or that was
// removed, is withdrawn: somebody did not want it any more.
func standingOf(records []Record, application, version string) standing {
	s := standing{why: "there is no record of it"}
	known, there := false, false
	for _, r := range records {
		found := r.Version(application)
		switch {
		case found == version:
			if !there {
				s = standing{}
			}
			known, there = true, true
			s.judge(r)
		case known:
			if there {
				there = false
				s.until, s.by = begin(r), found
			}
			if !higher(found, version) {
				s.why = "it was withdrawn: " + instead(found)
			}
		default:
			s.why = "there is no record of it; last seen there: " + seen(found)
		}
	}
	return s
}

// judge takes the word of a record that has the version.
func (s *standing) judge(r Record) {
	switch {
	case r.State != Verified:
		s.why, s.since = problem(r), time.Time{}
	case s.since.IsZero():
		s.why, s.since = "", r.Finished
	}
}

// soaked is how long the verified version was there until now.
func (s standing) soaked(now time.Time) time.Duration {
	if !s.until.IsZero() {
		now = s.until
	}
	return max(now.Sub(s.since), 0)
}

// begin is when a deployment began to replace what was there before.
func begin(r Record) time.Time {
	if r.Started.IsZero() || r.Started.After(r.Finished) {
		return r.Finished
	}
	return r.Started
}

// higher reports whether found is a higher version. Where one of them is none,
// the answer is unknown, and no.
func higher(found, version string) bool {
	return precedence.Compare(found, version) == precedence.Higher
}

// relevant are the records that say something about what runs in the environment, in
// the order of its deployments. A superseded deployment changed nothing, nor did one
// that made no revision of the release.
func relevant(records []Record, environment string) []Record {
	return slices.DeleteFunc(Ordered(records, environment, nil), func(r Record) bool {
		return r.State == Superseded || r.Revision == 0
	})
}

// LastVerified is the record of what an environment verified last; false when
// there is none.
func LastVerified(records []Record, environment string) (Record, bool) {
	found := relevant(records, environment)
	for _, r := range slices.Backward(found) {
		if r.State == Verified {
			return r, true
		}
	}
	return Record{}, false
}

// LastApplied is the record of an environment's last deployment that made a revision
// of the release; false when there is none.
func LastApplied(records []Record, environment string) (Record, bool) {
	found := relevant(records, environment)
	if len(found) == 0 {
		return Record{}, false
	}
	return found[len(found)-1], true
}

// Last is the record of what an environment did last, also where that failed before
// anything was changed; false when there is none. history is that of Ordered.
func Last(records []Record, environment string, history []string) (last Record, ok bool) {
	for _, r := range slices.Backward(Ordered(records, environment, history)) {
		if r.State != Superseded {
			return r, true
		}
	}
	return Record{}, false
}

// StillVerified are the records of the commits that an environment verified and
// did not fail with later, newest first.
func StillVerified(records []Record, environment string) (verified []Record) {
	said := map[string]bool{}
	for _, r := range slices.Backward(relevant(records, environment)) {
		if !said[r.Commit] && r.State == Verified {
			verified = append(verified, r)
		}
		said[r.Commit] = true
	}
	return verified
}

func problem(r Record) string {
	switch r.State {
	case Failed:
		return strings.TrimSuffix("its last deployment failed: "+shown(r.Reason), ": ")
	case Deployed:
		return strings.TrimSuffix("it is deployed and not verified: "+shown(r.Reason), ": ")
	case Unreadable:
		return "the record of its last deployment cannot be read"
	}
	return fmt.Sprintf("the state of its last deployment is %q", shown(string(r.State)))
}

func instead(version string) string {
	if version == "" {
		return "the application was removed"
	}
	return shown(version) + " came back in its place"
}

func seen(version string) string {
	if version == "" {
		return "no version of it"
	}
	return shown(version)
}

// shown is a text of a record as a message may hold it. Anybody who can push
// could have written it.
func shown(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			return r
		}
		return -1
	}, text)
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:79]) + "…"
	}
	return text
}
