package provision

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestManualNamesTheVariables: envsubst without names replaces every variable, also ${PATH}
// by the shell's. So each command names those of its file, and no others.
func TestManualNamesTheVariables(t *testing.T) {
	const root = "../.."
	command := regexp.MustCompile(`(?:sed 's\|\\\$\{PATH\}\|\.\|' (\S+) \|\s+)?envsubst( '[^']*')?(?: < (\S+))? \|`)
	variable := regexp.MustCompile(`\$\{?([A-Z_]+)`)
	names := func(text string) []string {
		var all []string
		for _, found := range variable.FindAllStringSubmatch(text, -1) {
			all = append(all, found[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	manifests, err := filepath.Glob(root + "/examples/site/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, manual := range append(manifests, root+"/docs/install.md") {
		text, err := os.ReadFile(manual)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range command.FindAllStringSubmatch(string(text), -1) {
			found++
			file, given := c[1]+c[3], names(c[2])
			if c[1] != "" {
				given = append(given, "PATH")
				slices.Sort(given)
			}
			manifest, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(string(manifest)) {
				if !strings.HasPrefix(line, "#") {
					lines = append(lines, line)
				}
			}
			if want := names(strings.Join(lines, "")); !slices.Equal(given, want) {
				t.Errorf("%s: envsubst for %s is given %v, the file has %v", manual, file, given, want)
			}
		}
	}
	if found != 7 {
		t.Errorf("found %d commands", found)
	}
}
