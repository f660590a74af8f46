package main

import (
	"fmt"
	"time"
)

// targets compares the results with what was aimed for.
func (r *results) targets(p *page) {
	p.line("\n## Targets")
	p.head("", "target", "measured", "met")
	for _, result := range r.Promotions {
		r.promotionTarget(p, result)
	}
	for _, group := range r.Contention {
		contentionTarget(p, group[0])
	}
	if len(r.Weights) > 0 {
		r.weightTargets(p)
	}
	r.growthTargets(p)
	r.viewsTargets(p)
}

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "not yet"
}

func (r *results) promotionTarget(p *page, result promotionResult) {
	ours := result.find("Lockstep")
	if len(ours.Trials) == 0 || result.RoundTrip != far {
		return
	}
	name := "B1, " + result.Fixture.Name + ", 50 ms"
	mine, base := result.median("Lockstep"), result.median(anchor)
	p.row(name, "≤ 0.6 × "+anchor, ratio(mine, base)+" ×", met(float64(mine) <= 0.6*float64(base)))
	requests := median(of(ours.Trials, func(t trial) int64 { return t.Requests }))
	p.row(name, "≤ 5 requests", requests, met(requests <= 5))
	memory := float64(median(of(ours.Trials, func(t trial) int64 { return t.MaxRSS }))) / 1024
	p.row(name, "≤ 20 MB memory", fmt.Sprintf("%.1f MB", memory), met(memory <= 20))
	if result.Fixture.Name != "XL" {
		return
	}
	for _, small := range r.Promotions {
		if small.Fixture.Name == "S" && small.RoundTrip == result.RoundTrip {
			base := small.median("Lockstep")
			p.row(name, "within 10 % of S", ratio(mine, base)+" ×", met(float64(mine) <= 1.1*float64(base)))
		}
	}
}

func contentionTarget(p *page, s contentionSeries) {
	if s.Writers != 100 {
		return
	}
	name := "B2, 100 writers, 50 ms"
	if s.Killed {
		p.row(name+", 10 % killed", "nothing lost, history linear", fmt.Sprintf("%d of %d runs", len(s.Rushes), len(s.Rushes)+s.Wrong), met(s.Wrong == 0))
		return
	}
	p.row(name, "nothing lost, history linear", fmt.Sprintf("%d of %d runs", len(s.Rushes), len(s.Rushes)+s.Wrong), met(s.Wrong == 0))
	if len(s.Rushes) == 0 {
		return
	}
	wall := median(of(s.Rushes, func(r rush) time.Duration { return r.Wall }))
	p.row(name, "≤ 3 s", seconds(wall)+" s", met(wall <= 3*time.Second))
	updates := median(of(s.Rushes, func(r rush) int64 { return r.Updates }))
	p.row(name, "branch moved ≤ 20 times", updates, met(updates <= 20))
}

func (r *results) weightTargets(p *page) {
	largest, slowest := map[string]weight{}, weight{}
	start := func(w weight) time.Duration {
		return median(of(w.Starts, func(u usage) time.Duration { return u.Wall }))
	}
	for _, w := range r.Weights {
		if w.Compressed > largest[w.Kind].Compressed {
			largest[w.Kind] = w
		}
		if w.Kind == gitOnly && start(w) > start(slowest) {
			slowest = w
		}
	}
	for _, target := range []struct {
		kind  string
		limit int64
	}{{gitOnly, limitGitOnly}, {inCluster, limitInCluster}} {
		w := largest[target.kind]
		if w.Name == "" {
			continue // not measured in this run
		}
		p.row("B8, "+target.kind, "≤ "+megabytes(target.limit)+" compressed", megabytes(w.Compressed)+" ("+w.Name+", the largest)", met(w.Compressed <= target.limit))
	}
	p.row("B8, "+gitOnly, "≤ 10 ms to main", fmt.Sprintf("%s ms from fork to exit (%s, the slowest)", ms1(start(slowest)), slowest.Name), met(start(slowest) <= 10*time.Millisecond))
}

// The targets for a step's layer, in bytes.
const (
	limitGitOnly   = 8_000_000
	limitInCluster = 20_000_000
)

func (r *results) promotionPlot() string {
	c := chart{Title: "One promotion, environment S: median time", X: "round trip, ms", Y: "ms"}
	for at, contender := range single() {
		line := curve{Name: contender.Name}
		for _, result := range r.Promotions {
			if s := result.Series[at]; result.Fixture.Name == "S" && len(s.Trials) > 0 {
				line.Points = append(line.Points, point{milliseconds(result.RoundTrip), milliseconds(result.median(contender.Name))})
			}
		}
		c.Curves = append(c.Curves, line)
	}
	return c.svg()
}

func (r *results) contentionPlot() string {
	c := chart{Title: "Writers at once on one branch, round trip 50 ms: median time until all are in", X: "writers", Y: "s", Log: true}
	for at, contender := range many() {
		line := curve{Name: contender.Name}
		for _, group := range r.Contention {
			if at < len(group) && !group[at].Killed && len(group[at].Rushes) > 0 {
				wall := median(of(group[at].Rushes, func(r rush) time.Duration { return r.Wall }))
				line.Points = append(line.Points, point{float64(group[at].Writers), wall.Seconds()})
			}
		}
		c.Curves = append(c.Curves, line)
	}
	return c.svg()
}

func (r *results) weightPlot() string {
	limits := map[string]float64{gitOnly: limitGitOnly / 1e6, inCluster: limitInCluster / 1e6}
	var all []bar
	for _, w := range r.Weights {
		all = append(all, bar{w.Name, float64(w.Compressed) / 1e6, limits[w.Kind]})
	}
	return bars("Compressed layer of each program, with its limit", "MB", all)
}
