package environment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

// at is a moment of 2 March 2026, a Monday: "10:00", or of another day in full.
func at(text string) time.Time {
	if len(text) == 5 {
		text = "2026-03-02T" + text + ":00Z"
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// production is an environment after staging with these further lines.
func production(t *testing.T, lines string) environment.Environment {
	t.Helper()
	return parse(t, one("- name: production\n  repository: https://h/p\n  namespace: p\n"+lines)).Environments[1]
}

// deployments reads "10:00 verified 1.0.0", one a line; each began five minutes
// before it finished. Further words are other fields of the record.
func deployments(text string) []environment.Record {
	var records []environment.Record
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		r := environment.Record{State: environment.State(words[1]), Environment: "staging", Finished: at(words[0]), Started: at(words[0]).Add(-5 * time.Minute), Revision: 1}
		if words[2] != "-" {
			r.Applications = []environment.Application{{Name: "billing", Version: "9.9.9"}, {Name: "user", Version: words[2]}}
		}
		for _, word := range words[3:] {
			switch word {
			case "elsewhere":
				r.Environment = "load"
			case "unreleased":
				r.Revision = 0
			default:
				r.Reason = word
			}
		}
		records = append(records, r)
	}
	return records
}

var promote = environment.Promotion{Application: "user", Version: "1.0.0"}

func decide(e environment.Environment, records, now string) environment.Decision {
	return e.Decide(promote, map[string]environment.Upstream{"staging": {Records: deployments(records)}}, at(now))
}

func TestAfter(t *testing.T) {
	e := production(t, "  after: [staging]\n")
	for name, c := range map[string]struct{ records, want string }{
		"verified":                     {"10:00 verified 1.0.0", ""},
		"no record":                    {"", "staging has not verified user 1.0.0: there is no record of it"},
		"another version":              {"10:00 verified 0.9.0", "no record of it; last seen there: 0.9.0"},
		"the application is not there": {"10:00 verified -", "last seen there: no version of it"},
		"another environment":          {"10:00 verified 1.0.0 elsewhere", "there is no record of it"},
		"nearly the same version":      {"10:00 verified v1.0.0", "there is no record of it"},
		"deployed":                     {"10:00 deployed 1.0.0 SimulatedNodes", "it is deployed and not verified: SimulatedNodes"},
		"failed":                       {"10:00 failed 1.0.0 ImagePullBackOff", "its last deployment failed: ImagePullBackOff"},
		"failed, no reason":            {"10:00 failed 1.0.0", "its last deployment failed"},
		"a state of the future":        {"10:00 paused 1.0.0", `the state of its last deployment is "paused"`},
		"unreadable":                   {"10:00 verified 1.0.0\n10:00 unreadable 1.0.0", "cannot be read"},
		"failed since":                 {"10:00 verified 1.0.0\n11:00 failed 1.0.0", "its last deployment failed"},
		"mended since":                 {"10:00 failed 1.0.0\n11:00 verified 1.0.0", ""},
		"in the order of time":         {"11:00 failed 1.0.0\n10:00 verified 1.0.0", "its last deployment failed"},
		"superseded since":             {"10:00 verified 1.0.0\n11:00 superseded 0.9.0", ""},
		"nothing released since":       {"10:00 verified 1.0.0\n11:00 failed - unreleased", ""},
		"no revision, no proof":        {"10:00 verified 1.0.0 unreleased", "there is no record of it"},
		"a higher one followed":        {"10:00 verified 1.0.0\n11:00 verified 1.1.0", ""},
		"a higher one failed":          {"10:00 verified 1.0.0\n11:00 failed 1.1.0", ""},
		"failed, then a higher one":    {"10:00 verified 1.0.0\n11:00 failed 1.0.0\n12:00 verified 1.1.0", "its last deployment failed"},
		"rolled back":                  {"10:00 verified 1.0.0\n11:00 verified 0.9.0", "it was withdrawn: 0.9.0 came back in its place"},
		"rolled back, later":           {"10:00 verified 1.0.0\n11:00 verified 1.1.0\n12:00 deployed 0.9.0", "it was withdrawn"},
		"no version to compare":        {"10:00 verified 1.0.0\n11:00 verified latest", "it was withdrawn"},
		"other build of it":            {"10:00 verified 1.0.0\n11:00 verified 1.0.0+b", "it was withdrawn"},
		"removed":                      {"10:00 verified 1.0.0\n11:00 verified -", "it was withdrawn: the application was removed"},
		"back again":                   {"10:00 verified 1.0.0\n11:00 verified 0.9.0\n12:00 verified 1.0.0", ""},
		"control characters":           {"10:00 failed 1.0.0 a\x1b[31mb", "failed: a[31mb"},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(e, c.records, "20:00")
			if d.Open() != (c.want == "") || !strings.Contains(d.Reason(), c.want) {
				t.Errorf("got %q, want %q", d.Reason(), c.want)
			}
			if !d.Opens.IsZero() || len(d.Closed) > 0 && d.Closed[0].Gate != environment.GateAfter {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestEveryEnvironmentOfAfterIsAsked(t *testing.T) {
	e := parse(t, one("- {name: load, repository: https://h/l, namespace: l}\n- {name: production, repository: https://h/p, namespace: p, after: [staging, load]}\n")).Environments[2]
	up := map[string]environment.Upstream{"staging": {Records: deployments("10:00 verified 1.0.0")}}
	if d := e.Decide(promote, up, at("20:00")); len(d.Closed) != 1 || !strings.HasPrefix(d.Reason(), "after: load has not verified user 1.0.0") {
		t.Errorf("got %q", d.Reason())
	}
	up["load"] = environment.Upstream{Application: "billing", Records: deployments("10:00 verified 1.0.0 elsewhere")}
	if d := e.Decide(promote, up, at("20:00")); !strings.Contains(d.Reason(), "load has not verified billing 1.0.0") {
		t.Errorf("the name of the application there: got %q", d.Reason())
	}
}

// TestRow45_SoakCountsFromTheRecord and by the time that is handed in, not by
// this machine's clock.
func TestRow45_SoakCountsFromTheRecord(t *testing.T) {
	e := production(t, "  after: [staging]\n  soak: 2h\n")
	for name, c := range map[string]struct{ records, now, want, opens string }{
		"not yet":                    {"10:00 verified 1.0.0", "11:59", "soak: user 1.0.0 has been verified in staging since Mon 2026-03-02 10:00 UTC and stays there for 2h, until Mon 2026-03-02 12:00 UTC", "12:00"},
		"to the second":              {"10:00 verified 1.0.0", "12:00", "", ""},
		"another deployment since":   {"10:00 verified 1.0.0\n11:00 verified 1.0.0", "12:00", "", ""},
		"a failure since":            {"10:00 verified 1.0.0\n10:30 failed 1.0.0\n11:00 verified 1.0.0", "12:30", "until Mon 2026-03-02 13:00 UTC", "13:00"},
		"replaced too early":         {"10:00 verified 1.0.0\n11:00 verified 1.1.0", "20:00", "user 1.0.0 was in staging for 55m of 2h when 1.1.0 replaced it", ""},
		"replaced afterwards":        {"10:00 verified 1.0.0\n12:05 verified 1.1.0", "20:00", "", ""},
		"unverified time is none":    {"10:00 deployed 1.0.0\n11:00 verified 1.0.0", "12:30", "until Mon 2026-03-02 13:00 UTC", "13:00"},
		"a clock that is behind":     {"10:00 verified 1.0.0", "09:50", "that record is 10m ahead of the clock that is asked", "12:00"},
		"a later time of the record": {"2999-01-01T10:00:00Z verified 1.0.0", "2999-01-01T11:00:00Z", "until Tue 2999-01-01 12:00 UTC", "2999-01-01T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(e, c.records, c.now)
			if d.Open() != (c.want == "") || !strings.Contains(d.Reason(), c.want) {
				t.Errorf("got %q, want %q", d.Reason(), c.want)
			}
			if c.opens == "" != d.Opens.IsZero() || c.opens != "" && !d.Opens.Equal(at(c.opens)) {
				t.Errorf("opens %s, want %s", d.Opens, c.opens)
			}
		})
	}
}

// TestWindows: now, and when it opens; "" is now.
func TestWindows(t *testing.T) {
	const berlin, night = "{days: Mon-Thu, hours: 09:00-16:00, zone: Europe/Berlin}", "{days: Fri, hours: 22:00-04:00}"
	const early = "{days: Sun, hours: 02:30-05:00, zone: Europe/Berlin}"
	for name, c := range map[string]struct{ windows, now, opens string }{
		"inside":                   {berlin, "2026-03-02T08:00:00Z", ""}, // 09:00 there
		"a minute early":           {berlin, "2026-03-02T07:59:59Z", "2026-03-02T08:00:00Z"},
		"the last second":          {berlin, "2026-03-02T14:59:59Z", ""},
		"the end is outside":       {berlin, "2026-03-02T15:00:00Z", "2026-03-03T08:00:00Z"},
		"weekend":                  {berlin, "2026-03-06T10:00:00Z", "2026-03-09T08:00:00Z"},
		"summer time":              {berlin, "2026-03-27T10:00:00Z", "2026-03-30T07:00:00Z"},
		"winter time":              {berlin, "2026-10-23T10:00:00Z", "2026-10-26T08:00:00Z"},
		"evening":                  {night, "2026-03-06T22:00:00Z", ""},
		"after midnight":           {night, "2026-03-07T03:59:59Z", ""},
		"end of the night":         {night, "2026-03-07T04:00:00Z", "2026-03-13T22:00:00Z"},
		"the morning before":       {night, "2026-03-06T03:00:00Z", "2026-03-06T22:00:00Z"},
		"the nearer of two":        {berlin + ", " + night, "2026-03-05T15:00:00Z", "2026-03-06T22:00:00Z"},
		"over the end of the week": {"{days: Sat-Mon}", "2026-03-06T12:00:00Z", "2026-03-07T00:00:00Z"},
		"two days":                 {"{days: 'Mon,Wed'}", "2026-03-03T12:00:00Z", "2026-03-04T00:00:00Z"},
		"hours alone":              {"{hours: '20:00-24:00'}", "2026-03-03T12:00:00Z", "2026-03-03T20:00:00Z"},
		"to the day's last second": {"{hours: '20:00-24:00'}", "2026-03-03T23:59:59Z", ""},
		// 29 March 2026: 02:00 to 03:00 does not exist in Berlin.
		"half of it left out":    {early, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		"all of it left out":     {"{days: Sun, hours: 02:00-03:00, zone: Europe/Berlin}", "2026-03-28T12:00:00Z", "2026-04-05T00:00:00Z"},
		"ends by the new clocks": {early, "2026-03-29T02:59:00Z", ""},
		"has ended by them":      {early, "2026-03-29T03:00:00Z", "2026-04-05T00:30:00Z"},
		"a night that is short":  {"{days: Sat, hours: 22:00-04:00, zone: Europe/Berlin}", "2026-03-29T01:59:00Z", ""},
		// 25 October 2026: 02:00 to 03:00 comes twice there.
		"first time":             {early, "2026-10-25T00:45:00Z", ""},
		"between the two":        {early, "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"},
		"second time":            {early, "2026-10-25T01:45:00Z", ""},
		"ends by winter's clock": {early, "2026-10-25T04:00:00Z", "2026-11-01T01:30:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			e := production(t, "  windows: ["+c.windows+"]\n")
			d := e.Decide(promote, nil, at(c.now))
			if d.Open() != (c.opens == "") {
				t.Fatalf("open = %v: %s", d.Open(), d.Reason())
			}
			if c.opens != "" && (!d.Opens.Equal(at(c.opens)) || d.Closed[0].Gate != environment.GateWindows) {
				t.Errorf("opens %s (%s), want %s", d.Opens.UTC(), d.Reason(), c.opens)
			}
		})
	}
}

func TestAWindowIsNamedInItsOwnZone(t *testing.T) {
	e := production(t, "  windows: [{days: Mon-Thu, hours: 09:00-16:00, zone: Europe/Berlin}]\n")
	want := "windows: the next window, Mon-Thu 09:00-16:00 Europe/Berlin, opens Mon 2026-03-30 09:00 CEST"
	if got := e.Decide(promote, nil, at("2026-03-27T10:00:00Z")).Reason(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestGatesTogether: it opens when the last of them does.
func TestGatesTogether(t *testing.T) {
	const gates = "  after: [staging]\n  soak: 2h\n  windows: [{days: Mon-Thu, hours: 09:00-16:00}]\n"
	e, verified := production(t, gates), "14:30 verified 1.0.0"
	for name, c := range map[string]struct {
		e                   environment.Environment
		records, now, gates string
		opens               string
	}{
		"the window is open, the soak ends outside it": {e, verified, "15:00", "soak", "2026-03-03T09:00:00Z"},
		"the window is closed, the soak ends inside":   {e, "07:30 verified 1.0.0", "08:00", "soak windows", "09:30"},
		"both closed":                    {e, verified, "16:00", "soak windows", "2026-03-03T09:00:00Z"},
		"the soak is over":               {e, verified, "17:00", "windows", "2026-03-03T09:00:00Z"},
		"nobody knows":                   {e, "14:30 failed 1.0.0", "17:00", "after windows", ""},
		"frozen":                         {production(t, gates+"  frozen: true\n"), verified, "2026-03-03T10:00:00Z", "frozen", ""},
		"everything is open":             {e, verified, "2026-03-03T10:00:00Z", "", ""},
		"an environment without a gate":  {production(t, ""), "", "03:00", "", ""},
		"frozen, and nothing to wait on": {production(t, "  frozen: true\n"), "", "03:00", "frozen", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(c.e, c.records, c.now)
			var closed []string
			for _, g := range d.Closed {
				closed = append(closed, string(g.Gate))
			}
			if got := strings.Join(closed, " "); got != c.gates {
				t.Errorf("closed: %q, want %q (%s)", got, c.gates, d.Reason())
			}
			if c.opens == "" != d.Opens.IsZero() || c.opens != "" && !d.Opens.Equal(at(c.opens)) {
				t.Errorf("opens %s, want %s", d.Opens, c.opens)
			}
		})
	}
}

func TestARollbackPassesEveryGate(t *testing.T) {
	e := production(t, "  after: [staging]\n  soak: 2h\n  windows: [{days: Sun}]\n  frozen: true\n")
	p := promote
	p.Rollback = true
	if d := e.Decide(p, nil, at("10:00")); !d.Open() || d.Reason() != "" {
		t.Errorf("got %q", d.Reason())
	}
	if e.Decide(promote, nil, at("10:00")).Open() {
		t.Error("without it, the gates are open")
	}
}
