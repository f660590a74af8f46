package environment

import (
	"fmt"
	"strings"
	"time"
)

// Promotion is what shall come into an environment.
type Promotion struct {
	Application string // as the commit names it
	Version     string // compared letter by letter
	Rollback    bool   // an earlier state comes back: every gate lets it pass
}

// Upstream is what is known of an environment that another one is after.
type Upstream struct {
	// Application is the application's name there: its alias, where it has one.
	// "" is the name of the Promotion.
	Application string
	// Records of its branch, those of each commit in the order of its note; others
	// than this environment's are left out. Too few of them never open a gate.
	Records []Record
}

// Gate is one rule that may hold a promotion back.
type Gate string

// The gates.
const (
	GateAfter   Gate = "after"
	GateSoak    Gate = "soak"
	GateWindows Gate = "windows"
	GateFrozen  Gate = "frozen"
	GateHold    Gate = "hold" // its repository says so, and not environments.yaml
)

// Closed is a gate that holds a promotion back.
type Closed struct {
	Gate   Gate      `json:"gate"`
	Reason string    `json:"reason"`         // one line for people
	Opens  time.Time `json:"opens,omitzero"` // at the earliest; zero: nobody knows
}

// Decision is the answer of the gates.
type Decision struct {
	Closed []Closed `json:"closed,omitempty"`
	// Opens is when all gates are open, at the earliest and if nothing else
	// happens; zero: nobody knows, or they are open.
	Opens time.Time `json:"opens,omitzero"`
}

// Open reports whether the promotion may happen now.
func (d Decision) Open() bool { return len(d.Closed) == 0 }

// Reason says for people, in one line, what is waited for; "" when it is open.
func (d Decision) Reason() string {
	reasons := make([]string, len(d.Closed))
	for i, c := range d.Closed {
		reasons[i] = string(c.Gate) + ": " + c.Reason
	}
	return strings.Join(reasons, "; ")
}

// Decide asks every gate of the environment. upstream is by the names of After;
// one that is missing has verified nothing. now is a server's time rather than
// this machine's: the records it is compared with carry the cluster's.
//
// A closed gate is no error: the promotion waits. A rollback never does; gates
// hold back what is new, and a state that comes back is not.
func (e Environment) Decide(p Promotion, upstream map[string]Upstream, now time.Time) Decision {
	var d Decision
	if p.Rollback {
		return d
	}
	for _, name := range e.After {
		d.Closed = append(d.Closed, e.ask(name, p, upstream[name], now)...)
	}
	if e.Frozen {
		d.Closed = append(d.Closed, Closed{Gate: GateFrozen, Reason: e.Name + " is frozen: nothing but a rollback gets in"})
	}
	from, certain := latest(d.Closed, now)
	if len(e.Windows) > 0 {
		if next, w := nextOpen(e.Windows, now); !next.Equal(now) {
			d.Closed = append(d.Closed, closedWindow(next, w))
		}
		from, _ = nextOpen(e.Windows, from)
	}
	if certain && !d.Open() {
		d.Opens = from
	}
	return d
}

// ask looks at what one environment says of the version.
func (e Environment) ask(name string, p Promotion, up Upstream, now time.Time) []Closed {
	if up.Application == "" {
		up.Application = p.Application
	}
	s := standingOf(relevant(up.Records, name), up.Application, p.Version)
	what := shown(up.Application + " " + p.Version)
	if s.why != "" {
		return []Closed{{Gate: GateAfter, Reason: fmt.Sprintf("%s has not verified %s: %s", name, what, s.why)}}
	}
	soak := time.Duration(e.Soak)
	switch soaked := s.soaked(now); {
	case soaked >= soak:
		return nil
	case !s.until.IsZero():
		return []Closed{{Gate: GateSoak, Reason: fmt.Sprintf("%s was in %s for %s of %s when %s replaced it", what, name, rounded(soaked), e.Soak, shown(s.by))}}
	}
	opens := s.since.Add(soak)
	reason := fmt.Sprintf("%s has been verified in %s since %s and stays there for %s, until %s", what, name, clock(s.since, time.UTC), e.Soak, clock(opens, time.UTC))
	if ahead := s.since.Sub(now); ahead > 0 {
		reason += fmt.Sprintf("; that record is %s ahead of the clock that is asked", rounded(ahead))
	}
	return []Closed{{Gate: GateSoak, Reason: reason, Opens: opens}}
}

func closedWindow(next time.Time, w Window) Closed {
	if next.IsZero() {
		return Closed{Gate: GateWindows, Reason: "no window opens within two weeks"}
	}
	return Closed{Gate: GateWindows, Reason: fmt.Sprintf("the next window, %s, opens %s", w, clock(next, w.Zone.location())), Opens: next}
}

// latest is when the last of the closed gates opens, not before now, and
// whether that is known of all of them.
func latest(closed []Closed, now time.Time) (time.Time, bool) {
	for _, c := range closed {
		if c.Opens.IsZero() {
			return now, false
		}
		if c.Opens.After(now) {
			now = c.Opens
		}
	}
	return now, true
}

func clock(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Mon 2006-01-02 15:04 MST")
}

func rounded(d time.Duration) Duration { return Duration(d.Truncate(time.Second)) }
