// Package document reads the YAML files that people write for Lockstep, and is
// strict about it: what is unknown, missing or of another type is a fault, and
// one look shows all of them, each with its place. It knows the values that
// such files have in common, names and places in Git; what a file is about, and
// what holds between its entries, the room that owns it knows.
package document

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// maxFaults bounds what is collected.
const maxFaults = 50

// Reader collects the faults of one file. It is made by NewReader.
type Reader struct {
	file   string
	faults []*yaml.Error
}

// NewReader is a Reader without faults; file is how messages call the file.
func NewReader(file string) *Reader { return &Reader{file: file} }

// Full reports that there are more faults than anybody reads at once. Those
// behind are not even looked for: to suggest a name for each takes time.
func (r *Reader) Full() bool { return len(r.faults) > maxFaults }

// Fail notes what is wrong at a node; the zero node is the begin of the file.
func (r *Reader) Fail(at yaml.Node, format string, args ...any) {
	if r.Full() {
		return
	}
	r.faults = append(r.faults, at.Errorf(format, args...))
}

// Err joins the faults in the order of the text, one line each:
// "file:line:column: what". It is nil when there are none. The caller says
// which kind of fault that is.
func (r *Reader) Err() error {
	slices.SortStableFunc(r.faults, func(a, b *yaml.Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var all []error
	for i, f := range r.faults {
		if i == maxFaults {
			all = append(all, fmt.Errorf("%s: and more", r.file))
			break
		}
		all = append(all, fmt.Errorf("%s:%w", r.file, f))
	}
	return errors.Join(all...)
}

// Root is the root of the one document that text holds, in most bytes. Anything
// else is a fault, and ok is false.
func (r *Reader) Root(text []byte, most int) (root yaml.Node, ok bool) {
	if len(text) > most {
		r.Fail(yaml.Node{}, "the file is larger than the %d bytes that are read", most)
		return yaml.Node{}, false
	}
	parsed, err := yaml.Parse(text)
	if place, ok := errors.AsType[*yaml.Error](err); ok {
		r.faults = append(r.faults, place)
		return yaml.Node{}, false
	}
	switch documents := parsed.Documents(); len(documents) {
	case 0:
		r.Fail(yaml.Node{}, "the file is empty")
		return yaml.Node{}, false
	case 1:
		return documents[0], true
	default:
		r.Fail(documents[1], "a second document; a file holds one")
		return yaml.Node{}, false
	}
}
