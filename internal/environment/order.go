package environment

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
	"time"
)

// position says where a deployment stands among those of its environment: at a
// revision of the release or, without one of its own, behind or in front of one.
type position struct {
	installed int64 // the time of the installation that counts the revisions; 0: unknown
	revision  int
	beside    int // -1: in front of the revision; 0: it is the revision; 1: behind it
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.installed, q.installed), cmp.Compare(p.revision, q.revision), cmp.Compare(p.beside, q.beside))
}

// Ordered are the records of an environment in the order of its deployments, oldest
// first. Records of one commit must come in the order of the lines of its note; what
// is there twice counts where it stands first, so that an old record that is written
// once more does not become new.
// history are the commits of the environment's branch, newest first, as far as they
// are known; it may be nil.
//
// The release's revision goes first: it counts deployments, while times have whole
// seconds and are those of several clocks. Where that leaves two open, the commit's
// place in the history decides, then the line in the note, and the time only then. A
// deployment that made no revision stands behind the one that was there. Where no
// record says which one that was, it stands behind the line before it, then behind
// the commits before its own, and where none of them is known it is put there by time.
func Ordered(records []Record, environment string, history []string) []Record {
	seen := map[sameness]bool{}
	own := slices.DeleteFunc(slices.Clone(records), func(r Record) bool {
		one := sameness{r.State, r.Commit, r.Run, r.Revision, r.Finished.UnixNano()}
		again := r.Commit != "" && seen[one]
		seen[one] = true
		return r.Environment != environment || again
	})
	o := order{records: own, place: make(map[string]int, len(history)), lines: map[string][]int{}, positions: make([]position, len(own))}
	for i, commit := range history {
		o.place[commit] = len(history) - i
	}
	for i, r := range own {
		note := cmp.Or(r.Commit, strconv.Itoa(i)) // of an unknown commit, no line is before another
		o.lines[note] = append(o.lines[note], i)
	}
	o.placeRevisions()
	o.placeOthers()
	return o.sorted()
}

// sameness is what tells two records of an environment apart.
type sameness struct {
	state       State
	commit, run string
	revision    int
	finished    int64
}

type order struct {
	records   []Record
	positions []position
	place     map[string]int   // of a commit in the history, from 1
	lines     map[string][]int // the records of a commit, as its note has them
	made      []int            // the records with a revision, by time
	installs  []int64          // that records know of
}

// longPause is more than any clock is off. Records that do not say when the release
// was installed go by it: a lower revision after so long a time is one of another
// installation.
const longPause = 24 * time.Hour

// placeRevisions finds the installation that each revision belongs to: a release that
// was taken away and installed again counts from 1.
func (o *order) placeRevisions() {
	for i, r := range o.records {
		if r.Revision > 0 {
			o.made = append(o.made, i)
		}
		if !r.Installed.IsZero() {
			o.installs = append(o.installs, r.Installed.Unix())
		}
	}
	slices.SortStableFunc(o.made, func(a, b int) int { return o.records[a].Finished.Compare(o.records[b].Finished) })
	slices.Sort(o.installs)
	o.installs = slices.Compact(o.installs)
	var since int64
	var highest Record
	for _, i := range o.made {
		r := o.records[i]
		if known := o.installed(r); known > since {
			since, highest = known, Record{}
		}
		if r.Installed.IsZero() && r.Revision < highest.Revision && r.Finished.Sub(highest.Finished) > longPause {
			since, highest = r.Finished.Unix(), Record{}
		}
		if r.Revision >= highest.Revision {
			highest = r
		}
		o.positions[i] = position{installed: since, revision: r.Revision}
		if !r.Installed.IsZero() {
			o.positions[i].installed = r.Installed.Unix()
		}
	}
}

// installed is when the release of a record was installed: as it says or, where it
// does not, the last time before its end that any record knows of.
func (o *order) installed(r Record) int64 {
	if !r.Installed.IsZero() {
		return r.Installed.Unix()
	}
	n := sort.Search(len(o.installs), func(i int) bool { return o.installs[i] > r.Finished.Unix() })
	if n == 0 {
		return 0
	}
	return o.installs[n-1]
}

// placeOthers finds the revisions that deployments without one came behind.
func (o *order) placeOthers() {
	before, ahead := o.aroundCommits()
	until := o.behindTimes()
	for commit, lines := range o.lines {
		var last, next position // of the revisions around the line
		for n, i := range lines {
			r := o.records[i]
			if r.Revision > 0 {
				last = o.positions[i]
				continue
			}
			p := position{installed: o.installed(r), revision: r.After}
			next = o.nextOf(lines[n:])
			if r.After == 0 {
				if p = cmp.Or(last, before[o.place[commit]]); p == (position{}) {
					p, next = until(r.Finished), cmp.Or(next, ahead[o.place[commit]])
				}
			}
			p.beside = 1
			if next != (position{}) && p.compare(next) > 0 {
				p = position{next.installed, next.revision, -1}
			}
			o.positions[i] = p
		}
	}
}

// nextOf is the first of the lines with a revision.
func (o *order) nextOf(lines []int) position {
	for _, i := range lines {
		if o.records[i].Revision > 0 {
			return o.positions[i]
		}
	}
	return position{}
}

// aroundCommits finds, by the place of a commit in the history, the last revision of
// the commits before it and the first one of those behind it.
func (o *order) aroundCommits() (before, ahead []position) {
	before, ahead = make([]position, len(o.place)+2), make([]position, len(o.place)+2)
	lower := func(a, b position) bool { return b == (position{}) || a.compare(b) < 0 }
	for _, i := range o.made {
		at := o.place[o.records[i].Commit]
		if at == 0 {
			continue
		}
		if p := o.positions[i]; p.compare(before[at+1]) > 0 {
			before[at+1] = p
		}
		if p := o.positions[i]; lower(p, ahead[at-1]) {
			ahead[at-1] = p
		}
	}
	for at := 1; at < len(before); at++ {
		if before[at-1].compare(before[at]) > 0 {
			before[at] = before[at-1]
		}
		if back := len(ahead) - 1 - at; ahead[back+1] != (position{}) && lower(ahead[back+1], ahead[back]) {
			ahead[back] = ahead[back+1]
		}
	}
	before[0], ahead[0] = position{}, position{} // of commits that are not in it
	return before, ahead
}

// behindTimes finds the last revision that was on record at a time.
func (o *order) behindTimes() func(time.Time) position {
	last := make([]position, len(o.made)+1)
	for n, i := range o.made {
		if last[n+1] = o.positions[i]; last[n].compare(last[n+1]) > 0 {
			last[n+1] = last[n]
		}
	}
	return func(t time.Time) position {
		return last[sort.Search(len(o.made), func(n int) bool { return o.records[o.made[n]].Finished.After(t) })]
	}
}

// sorted are the records by their positions and, within one, by their commits.
func (o *order) sorted() []Record {
	ended := o.ended()
	indices := make([]int, len(o.records))
	known := map[position]bool{} // all commits of it are in the history
	for i, r := range o.records {
		indices[i] = i
		all, seen := known[o.positions[i]]
		known[o.positions[i]] = (all || !seen) && o.place[r.Commit] > 0
	}
	slices.SortStableFunc(indices, func(a, b int) int {
		if order := o.positions[a].compare(o.positions[b]); order != 0 {
			return order
		}
		if known[o.positions[a]] {
			return cmp.Compare(o.place[o.records[a].Commit], o.place[o.records[b].Commit])
		}
		return ended[a].Compare(ended[b])
	})
	sorted := make([]Record, len(indices))
	for n, i := range indices {
		sorted[n] = o.records[i]
	}
	return sorted
}

// ended is when each record ended, and no record before a line in front of it.
func (o *order) ended() []time.Time {
	ended := make([]time.Time, len(o.records))
	for _, lines := range o.lines {
		var last time.Time
		for _, i := range lines {
			if t := o.records[i].Finished; t.After(last) {
				last = t
			}
			ended[i] = last
		}
	}
	return ended
}
