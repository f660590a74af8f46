// Package gitconfig reads and writes the format of git-config(1), in which
// .git/config, .gitconfig and .gitmodules are kept, byte for byte as git does.
// Files that one of them includes are not read.
package gitconfig

import (
	"slices"
	"strings"
)

// File is what one file says. nil says nothing.
type File struct{ settings []setting }

// setting is one line. Sections and keys are in lower case: git does not tell
// their cases apart, those of subsections it does.
type setting struct{ section, subsection, key, value string }

// All are the values of a key, in the order of the file. The subsection is ""
// for [section] alone. A key without a value counts as "true".
func (f *File) All(section, subsection, key string) []string {
	if f == nil {
		return nil
	}
	section, key = strings.ToLower(section), strings.ToLower(key)
	var values []string
	for _, s := range f.settings {
		if s.section == section && s.subsection == subsection && s.key == key {
			values = append(values, s.value)
		}
	}
	return values
}

// Get is the value that counts, which is the last one; "" without one.
func (f *File) Get(section, subsection, key string) string {
	values := f.All(section, subsection, key)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// Subsections are the names of a section's subsections, each once, in the order
// of the file. Those without any key are left out.
func (f *File) Subsections(section string) []string {
	if f == nil {
		return nil
	}
	section = strings.ToLower(section)
	var names []string
	for _, s := range f.settings {
		if s.section == section && s.subsection != "" && !slices.Contains(names, s.subsection) {
			names = append(names, s.subsection)
		}
	}
	return names
}

// InsteadOf applies url.<base>.insteadOf to an address: the longest prefix wins.
func (f *File) InsteadOf(address string) string {
	result, longest := address, 0
	for _, base := range f.Subsections("url") {
		for _, prefix := range f.All("url", base, "insteadOf") {
			if len(prefix) > longest && strings.HasPrefix(address, prefix) {
				result, longest = base+address[len(prefix):], len(prefix)
			}
		}
	}
	return result
}

// IsTrue reports whether git takes a value for true.
func IsTrue(value string) bool {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}

// IsFalse reports whether git takes a value for false; one that is not set is
// neither true nor false.
func IsFalse(value string) bool {
	switch strings.ToLower(value) {
	case "false", "no", "off", "0":
		return true
	}
	return false
}

// Value is a value as git reads it back, whatever it holds but for a zero byte.
func Value(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\b", `\b`).Replace(value) + `"`
}

// Header begins a subsection. Its name may hold anything but a line end and a
// zero byte, which no ref, submodule or URL has.
func Header(section, subsection string) string {
	return "[" + section + ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(subsection) + `"]`
}
