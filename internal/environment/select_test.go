package environment_test

import (
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// several is written against its promotion order.
const several = head + `
- {name: production, repository: https://h/p, namespace: p, after: [staging, load]}
- {name: staging, repository: https://h/s, namespace: s, promotion: Auto}
- {name: legacy, repository: https://h/l, namespace: l, promotion: Never, after: [production]}
- {name: load, repository: https://h/o, namespace: o, promotion: Auto, after: [staging]}
- {name: demo, repository: https://h/d, namespace: d}
`

func names(environments []environment.Environment) string {
	var all []string
	for _, e := range environments {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func TestOrderAndSelection(t *testing.T) {
	file := parse(t, several)
	for what, c := range map[string]struct{ got, want string }{
		"in order": {names(file.InOrder()), "staging load production legacy demo"},
		"auto":     {names(file.Auto()), "staging load"},
		"all":      {names(file.AutoAndManual()), "staging load production demo"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", what, c.got, c.want)
		}
	}
}

func TestSelectionByName(t *testing.T) {
	file := parse(t, several)
	for _, c := range []struct {
		names, reason string
		want          string
		kind          fault.Kind
		says          string
	}{
		{"production staging production", "", "staging production", 0, ""},
		{"demo", "", "demo", 0, ""},
		{"legacy", "", "", fault.KindRefused, "promote to legacy: its strategy is Never"},
		{"staging legacy", "  ", "", fault.KindRefused, "Never"},
		{"legacy staging", "outage 17", "staging legacy", 0, ""},
		{"prodcution", "", "", fault.KindUsage, `no environment "prodcution"; did you mean production?`},
		{"qa", "outage 17", "", fault.KindUsage, `no environment "qa"; there are production, staging, legacy, load, demo`},
	} {
		got, err := file.Named(c.reason, strings.Fields(c.names)...)
		if names(got) != c.want || fault.Of(err).Kind != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %s, %v; want %s, %q", c.names, names(got), err, c.want, c.says)
		}
	}
}
