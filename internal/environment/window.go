package environment

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // an image without zone data must not refuse a file that names a zone

	"github.com/lockstep-cd/lockstep/internal/document"
)

// Window is a time of the week in which promotions may happen, by the clocks on
// the walls of its zone. On a day when they change, an hour that is left out is
// in no window, and one that comes twice is in it twice.
type Window struct {
	Days  Days  `json:"days"`
	Hours Hours `json:"hours"`
	Zone  Zone  `json:"zone"`
}

func (w Window) String() string { return fmt.Sprintf("%s %s %s", w.Days, w.Hours, w.Zone) }

// contains reports whether t is in the window. One that runs over midnight
// belongs to the day on which it begins.
func (w Window) contains(t time.Time) bool {
	t = t.In(w.Zone.location())
	now, today := t.Hour()*60+t.Minute(), t.Weekday()
	if w.Hours.From < w.Hours.To {
		return w.Days.has(today) && w.Hours.From <= now && now < w.Hours.To
	}
	yesterday := (today + 6) % 7
	return w.Days.has(today) && now >= w.Hours.From || w.Days.has(yesterday) && now < w.Hours.To
}

// nextOpen is the first moment from t on that is in one of the windows, exact
// to the minute, and which window that is; the zero time when there is none.
// Asking minute by minute is slower than to calculate, and right on the days
// when clocks are changed. Two weeks hold every window, also one whose hour the
// first of them leaves out.
func nextOpen(windows []Window, t time.Time) (time.Time, Window) {
	for end := t.AddDate(0, 0, 15); t.Before(end); t = t.Truncate(time.Minute).Add(time.Minute) {
		if i := slices.IndexFunc(windows, func(w Window) bool { return w.contains(t) }); i >= 0 {
			return t, windows[i]
		}
	}
	return time.Time{}, Window{}
}

// Days is a set of days of the week.
type Days uint8

const everyDay Days = 1<<7 - 1

// week begins on Monday, as the text of a set does.
var week = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

func (d Days) has(day time.Weekday) bool { return d&(1<<day) != 0 }

// String joins neighbours: Mon-Thu, or Mon,Wed, or Mon,Sat-Sun.
func (d Days) String() string {
	var parts []string
	for i := 0; i < len(week); i++ {
		first := i
		for i < len(week) && d.has(week[i]) {
			i++
		}
		switch i - first {
		case 0:
		case 1:
			parts = append(parts, short(week[first]))
		default:
			parts = append(parts, short(week[first])+"-"+short(week[i-1]))
		}
	}
	return strings.Join(parts, ",")
}

// MarshalText gives the form that Parse reads.
func (d Days) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func short(day time.Weekday) string { return day.String()[:3] }

// parseDays reads days and ranges with commas between them. A range may run
// over the end of the week: Sat-Mon.
func parseDays(text string) (Days, error) {
	var days Days
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		first, last := dayOf(from), dayOf(to)
		if first < 0 || last < 0 {
			return 0, fmt.Errorf("%s is not made of Mon, Tue, Wed, Thu, Fri, Sat, Sun, as in Mon-Thu or Mon,Wed", document.Quoted(text))
		}
		for i := first; ; i = (i + 1) % len(week) {
			days |= 1 << week[i]
			if i == last {
				break
			}
		}
	}
	return days, nil
}

// dayOf is the day's place in the week, or -1.
func dayOf(text string) int {
	return slices.IndexFunc(week, func(day time.Weekday) bool { return short(day) == text })
}

// Hours are minutes of the day, the end not included. To is 24*60 at most, and
// lower than From when the hours run over midnight.
type Hours struct{ From, To int }

var wholeDay = Hours{0, 24 * 60}

func (h Hours) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", h.From/60, h.From%60, h.To/60, h.To%60)
}

// MarshalText gives the form that Parse reads.
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

var hoursForm = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$`)

func parseHours(text string) (Hours, error) {
	m := hoursForm.FindStringSubmatch(text)
	if m == nil {
		return Hours{}, fmt.Errorf("%s is not of the form 09:00-16:00", document.Quoted(text))
	}
	h := Hours{minutes(m[1], m[2]), 24 * 60}
	if m[3] != "" {
		h.To = minutes(m[3], m[4])
	}
	if h.From == h.To {
		return Hours{}, errors.New("they end when they begin; leave them out for the whole day")
	}
	return h, nil
}

// minutes reads two numbers of two digits each.
func minutes(hour, minute string) int {
	two := func(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
	return two(hour)*60 + two(minute)
}

// Zone is a time zone of the IANA database; the zero Zone is UTC.
type Zone struct{ at *time.Location }

func (z Zone) location() *time.Location {
	if z.at == nil {
		return time.UTC
	}
	return z.at
}

func (z Zone) String() string { return z.location().String() }

// MarshalText gives the form that Parse reads.
func (z Zone) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

var zoneForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// parseZone does not take Local: it is another zone on each machine.
func parseZone(text string) (Zone, error) {
	if zoneForm.MatchString(text) && text != "Local" {
		if at, err := time.LoadLocation(text); err == nil {
			return Zone{at}, nil
		}
	}
	return Zone{}, fmt.Errorf("%s is no time zone such as Europe/Berlin or UTC", document.Quoted(text))
}
