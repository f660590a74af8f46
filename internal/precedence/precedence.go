// Package precedence knows which of two texts that name a version goes first.
// Files hold more than plain versions: a tag with its digest, the reference of an
// image, a range. A text counts as the highest version that it may stand for, so
// that nothing lower takes its place by accident.
package precedence

import (
	"math"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Order says where one version stands against another one.
type Order int

// The orders.
const (
	Unknown   Order = iota // at least one of the texts names no version, or they name different things
	Lower                  // than the other one, or than what it may stand for
	Same                   // the same version; a digest makes no other one
	Higher                 // than everything that the other one may stand for
	Uncertain              // the other one is a range that admits this version and higher ones
)

// Version is a text that names a version.
type Version struct {
	subject string              // what stands before the version, such as an image's name
	lowest  *semver.Version     // nil of a range
	partial bool                // its last numbers are left out
	digest  string              // beside it
	admits  *semver.Constraints // nil: lowest alone
	text    string              // without digest
}

var (
	digestForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+._-]*:[0-9A-Fa-f]{32,}$`)
	// endForm finds a whole version behind something else, as in the reference of
	// an image or in a tag such as shop-1.2.3.
	endForm = regexp.MustCompile(`^(.*?[:/_=-])(v?\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]*)?)$`)
	// number is one of a range; * and x stand for any.
	number = regexp.MustCompile(`\d+(?:\.\d+)?(?:\.\d+)?(?:-[0-9A-Za-z.-]+)?`)
)

// longest bounds a text that is looked at, in bytes: the longest tag and digest.
const longest = 512

// Parse reads a text; false when it names no version.
func Parse(text string) (Version, bool) {
	text = strings.TrimSpace(text)
	if len(text) > longest {
		return Version{}, false
	}
	v := Version{text: text}
	if at := strings.LastIndex(text, "@"); at > 0 && digestForm.MatchString(text[at+1:]) {
		v.text, v.digest = text[:at], text[at+1:]
	}
	if v.single(v.text) {
		return v, true
	}
	if admits, err := semver.NewConstraint(v.text); err == nil {
		v.admits = admits
		return v, true
	}
	if slash := strings.LastIndex(v.text, "/"); strings.Contains(v.text[slash+1:], ":") {
		colon := strings.LastIndex(v.text, ":")
		if v.subject = v.text[:colon]; v.single(v.text[colon+1:]) {
			return v, true
		}
	}
	if match := endForm.FindStringSubmatch(v.text); match != nil {
		v.subject = strings.TrimRight(match[1], ":/_=-")
		return v, v.single(match[2])
	}
	return Version{}, false
}

// single reads a text that is one version.
func (v *Version) single(text string) bool {
	var err error
	v.lowest, err = semver.NewVersion(text)
	core, _, _ := strings.Cut(text, "-")
	v.partial = strings.Count(core, ".") < 2
	return err == nil
}

// AsRange is the version as Helm reads that of a dependency: 1.2 stands for every
// 1.2.x there.
func (v Version) AsRange() Version {
	if v.partial && v.admits == nil && v.subject == "" {
		v.admits, _ = semver.NewConstraint(v.text) // nil where it is none
	}
	return v
}

// Range reports whether it stands for several versions.
func (v Version) Range() bool { return v.admits != nil }

// Admits reports whether it stands for a version, alone or among others.
func (v Version) Admits(other Version) bool {
	switch {
	case other.lowest == nil || v.differs(other):
		return false
	case v.admits != nil:
		return v.admits.Check(other.lowest)
	}
	return v.lowest.Equal(other.lowest)
}

// Pinned reports whether it is what other is, with a digest that other lacks.
func (v Version) Pinned(other Version) bool {
	return v.digest != "" && other.digest == "" && v.Compare(other) == Same && v.subject == other.subject
}

// differs reports whether they are versions of different things.
func (v Version) differs(other Version) bool {
	return v.subject != "" && other.subject != "" && v.subject != other.subject
}

// Compare says where v, a single version, stands against another one, which may
// be a range.
func (v Version) Compare(other Version) Order {
	switch {
	case v.lowest == nil || v.differs(other):
		return Unknown
	case other.admits == nil:
		return Order(v.lowest.Compare(other.lowest)) + Same
	case v.partial && other.lowest != nil:
		return Order(v.lowest.Compare(other.lowest)) + Same // two of one form
	case !other.higherThan(v.lowest):
		return Higher
	case other.admits.Check(v.lowest):
		return Uncertain
	}
	return Lower
}

// higherThan reports whether a range admits a version above one. It begins or
// ends near one of the numbers in it, so the versions around each are asked for.
func (v Version) higherThan(low *semver.Version) bool {
	const most = math.MaxInt32
	candidates := []*semver.Version{semver.New(most, most, most, "", "")}
	for _, text := range number.FindAllString(v.text, -1) {
		n, err := semver.NewVersion(text)
		if err != nil {
			continue
		}
		major, minor, patch := n.Major(), n.Minor(), n.Patch()
		candidates = append(candidates, n, semver.New(major, minor, patch, "", ""),
			semver.New(major, minor, patch+1, "", ""), semver.New(major, minor, most, "", ""), semver.New(major, most, most, "", ""))
		switch {
		case patch > 0:
			candidates = append(candidates, semver.New(major, minor, patch-1, "", ""))
		case minor > 0:
			candidates = append(candidates, semver.New(major, minor-1, most, "", ""))
		case major > 0:
			candidates = append(candidates, semver.New(major-1, most, most, "", ""))
		}
	}
	for _, c := range candidates {
		if c.GreaterThan(low) && v.admits.Check(c) {
			return true
		}
	}
	return false
}

// Compare says where one text stands against another one.
func Compare(text, other string) Order {
	a, okA := Parse(text)
	b, okB := Parse(other)
	if !okA || !okB {
		return Unknown
	}
	return a.Compare(b)
}
