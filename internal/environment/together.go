package environment

import (
	"path"
	"slices"
	"strings"
)

// checkTogether finds what is wrong between environments. A name counts as it
// is written, valid or not, so that one fault is not reported twice.
func (r *reader) checkTogether(places []*place) {
	known := map[string]*place{}
	var names []string
	for _, p := range places {
		name := p.name.Text()
		if first, twice := known[name]; twice && name != "" {
			r.fail(p.name, "name: %s is the name of another environment, on line %d", quoted(name), first.name.Line())
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
		case r.full():
			return
		case name == "": // it is wrong, which was said
		case name == p.name.Text():
			r.fail(item, "after: %s waits for itself", quoted(name))
		case known[name] == nil:
			r.fail(item, "after: there is no environment %s; %s", quoted(name), suggest(name, names))
		case known[name].File != "":
			r.fail(item, "after: another tool deploys %s, so there are no deployment records to wait for", quoted(name))
		case seen[name]:
			r.fail(item, "after: %s stands here twice", quoted(name))
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
		way = append(way, quoted(name))
		for i, after := range p.After {
			next := known[after]
			switch {
			case next == nil || after == name || r.full():
			case state[after] == underWay:
				circle := append(slices.Clone(way[slices.Index(way, quoted(after)):]), quoted(after))
				r.fail(p.after[i], "after: each waits for the next, and the last for the first: %.500s", strings.Join(circle, ", "))
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
		at := spot{sameRepository(p.Repository), path.Join(p.Path, p.File), p.ValuePath}
		for _, other := range seen[at] {
			if p.Branch == other.Branch {
				r.fail(p.repository, "repository: the same repository, branch and path as of the environment on line %d", other.at.Line())
				break
			}
			if p.Branch == "" || other.Branch == "" {
				r.fail(p.repository, "repository: the same repository and path as of the environment on line %d; name the branch of both", other.at.Line())
				break
			}
		}
		seen[at] = append(seen[at], p)
	}
}

// suggest lists what there is, or names what was probably meant.
func suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return "did you mean " + near + "?"
	}
	switch {
	case len(known) == 0:
		return "there is none"
	case len(known) == 1:
		return "it is " + known[0]
	case len(known) > 20:
		return "there are " + strings.Join(known[:20], ", ") + " and more"
	}
	return "there are " + strings.Join(known, ", ")
}

// nearest is the known word that is at most two typing errors away from word,
// and not made of errors alone; "" when there is none.
func nearest(word string, known []string) string {
	best, fewest := "", 3
	for _, name := range known {
		if n := distance(strings.ToLower(word), strings.ToLower(name)); n < fewest && n*2 < len(name) {
			best, fewest = name, n
		}
	}
	return best
}

// distance counts the letters to add, take away or change. Words of very
// different lengths are not compared.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
