package document

import (
	"fmt"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/yaml"
)

// Field is a key of a mapping and how its value is read. Required, Optional and
// Otherwise make one.
type Field struct {
	key      string
	required bool
	read     func(yaml.Node) error
	unknown  func(key string) string // of Otherwise, which has no key
}

// Required is a key that must be there. What read returns stands at the value.
func Required(key string, read func(yaml.Node) error) Field {
	return Field{key: key, required: true, read: read}
}

// Optional is a key that may be left out; then nothing is read.
func Optional(key string, read func(yaml.Node) error) Field {
	return Field{key: key, read: read}
}

// Otherwise is no key: say has better words for some that are unknown, and ""
// for the others.
func Otherwise(say func(key string) string) Field { return Field{unknown: say} }

func (f Field) isKey() bool { return f.read != nil }

// Mapping reads the fields of n; what names no field, and what is missing, is a
// fault. what is the mapping's name in messages, with its article.
func (r *Reader) Mapping(n yaml.Node, what string, fields ...Field) {
	if n.Target().Kind() != yaml.Mapping {
		r.Fail(n, "%s is a mapping of keys to values, not %s", what, describe(n))
		return
	}
	for _, pair := range n.Pairs() {
		i := slices.IndexFunc(fields, func(f Field) bool {
			return f.isKey() && pair.Key.Target().Kind() == yaml.Scalar && f.key == pair.Key.Target().Value()
		})
		if i < 0 || pair.Key.IsMerge() {
			r.unknownKey(pair.Key, what, fields)
			continue
		}
		if err := fields[i].read(pair.Value); err != nil {
			r.Fail(pair.Value, "%s: %v", fields[i].key, err)
		}
	}
	for _, f := range fields {
		if f.required && !n.Get(f.key).Exists() {
			r.Fail(n, "%s needs the key %s", what, f.key)
		}
	}
}

func (r *Reader) unknownKey(at yaml.Node, what string, fields []Field) {
	key := at.Target()
	if key.Kind() != yaml.Scalar || at.IsMerge() {
		r.Fail(at, "%s has only keys that are written out", what)
		return
	}
	if r.Full() {
		return
	}
	var keys []string
	for _, f := range fields {
		if f.isKey() {
			keys = append(keys, f.key)
		} else if better := f.unknown(key.Value()); better != "" {
			r.Fail(at, "%s", better)
			return
		}
	}
	r.Fail(at, "%s has no key %s; %s", what, Quoted(key.Value()), Suggest(key.Value(), keys))
}

// List reads each item, of most at the most; what is wrong with one stands at
// the item, behind the key.
func (r *Reader) List(key string, most int, read func(yaml.Node) error) func(yaml.Node) error {
	return func(n yaml.Node) error {
		if n.Target().Kind() != yaml.Sequence {
			return fmt.Errorf("a list belongs here, not %s", describe(n))
		}
		items := n.Items()
		if len(items) > most {
			return fmt.Errorf("%d items, more than the %d that are read", len(items), most)
		}
		for _, item := range items {
			if err := read(item); err != nil {
				r.Fail(item, "%s: %v", key, err)
			}
		}
		return nil
	}
}
