package environment

import (
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/document"
)

// checkTogether finds what is wrong between environments. A name counts as it
// is written, valid or not, so that one fault is not reported twice.
func (r *reader) checkTogether(places []*place) {
	known := map[string]*place{}
	var names []string
	for _, p := range places {
		name := p.name.Text()
		if first, twice := known[name]; twice && name != "" {
			r.Fail(p.name, "name: %s is the name of another environment, on line %d", document.Quoted(name), first.name.Line())
			continue
		}
		known[name] = p
		if p.Name != "" {
			names = append(names, p.Name)
		}
	}
	for _, p := range places {
		r.checkAfter(p, known, names)
	}
	r.checkCircles(places, known)
	r.checkPlaces(places)
}

func (r *reader) checkAfter(p *place, known map[string]*place, names []string) {
	seen := map[string]bool{}
	for i, item := range p.after {
		name := p.After[i]
		switch {
		case r.Full():
			return
		case name == "": // it is wrong, which was said
		case name == p.name.Text():
			r.Fail(item, "after: %s waits for itself", document.Quoted(name))
		case known[name] == nil:
			r.Fail(item, "after: there is no environment %s; %s", document.Quoted(name), document.Suggest(name, names))
		case known[name].File != "":
			r.Fail(item, "after: another tool deploys %s, so there are no deployment records to wait for", document.Quoted(name))
		case seen[name]:
			r.Fail(item, "after: %s stands here twice", document.Quoted(name))
		}
		seen[name] = true
	}
}

// checkCircles walks from each environment to those it waits for; meeting one
// that is still under way closes a circle.
func (r *reader) checkCircles(places []*place, known map[string]*place) {
	const underWay, done = 1, 2
	state := map[string]int{}
	var way []string
	var walk func(p *place)
	walk = func(p *place) {
		name := p.name.Text()
		state[name] = underWay
		way = append(way, document.Quoted(name))
		for i, after := range p.After {
			next := known[after]
			switch {
			case next == nil || after == name || r.Full():
			case state[after] == underWay:
				circle := append(slices.Clone(way[slices.Index(way, document.Quoted(after)):]), document.Quoted(after))
				r.Fail(p.after[i], "after: each waits for the next, and the last for the first: %.500s", strings.Join(circle, ", "))
			case state[after] == 0:
				walk(next)
			}
		}
		way = way[:len(way)-1]
		state[name] = done
	}
	for _, p := range places {
		if known[p.name.Text()] == p && state[p.name.Text()] == 0 {
			walk(p)
		}
	}
}

// checkPlaces refuses two environments on one chart, or on one place in a file:
// each promotion to one would deploy both. A branch that is left out may be any.
func (r *reader) checkPlaces(places []*place) {
	type spot struct{ repository, path, value string }
	seen := map[spot][]*place{}
	for _, p := range places {
		if p.Repository == "" || p.Path == "" {
			continue // it is wrong, which was said
		}
		at := spot{document.SameRepository(p.Repository), path.Join(p.Path, p.File), p.ValuePath}
		for _, other := range seen[at] {
			if p.Branch == other.Branch {
				r.Fail(p.repository, "repository: the same repository, branch and path as of the environment on line %d", other.at.Line())
				break
			}
			if p.Branch == "" || other.Branch == "" {
				r.Fail(p.repository, "repository: the same repository and path as of the environment on line %d; name the branch of both", other.at.Line())
				break
			}
		}
		seen[at] = append(seen[at], p)
	}
}
