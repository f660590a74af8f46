package precedence_test

import (
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/precedence"
)

var digest = "@sha256:" + strings.Repeat("3e", 32)

func TestRow61_Compare(t *testing.T) {
	for name, test := range map[string]struct {
		text, other string
		want        precedence.Order
	}{
		"plain, lower":                 {"2.3.119", "2.3.120", precedence.Lower},
		"plain, same":                  {"2.3.120", "2.3.120", precedence.Same},
		"plain, higher":                {"2.3.121", "2.3.120", precedence.Higher},
		"a candidate":                  {"2.3.120-rc.1", "2.3.120", precedence.Lower},
		"lower than a digest":          {"2.3.119", "2.3.120" + digest, precedence.Lower},
		"same as with a digest":        {"2.3.120", "2.3.120" + digest, precedence.Same},
		"higher than a digest":         {"2.3.121", "2.3.120" + digest, precedence.Higher},
		"digest against digest":        {"2.3.119" + digest, "v2.3.120" + digest, precedence.Lower},
		"v":                            {"2.3.119", "v2.3.120", precedence.Lower},
		"an image":                     {"ghcr.io/acme/shop:2.3.119", "ghcr.io/acme/shop:2.3.120" + digest, precedence.Lower},
		"an image at a port":           {"localhost:5000/shop:2.4", "localhost:5000/shop:2.3", precedence.Higher},
		"another image":                {"ghcr.io/acme/cart:2.3.119", "ghcr.io/acme/shop:2.3.120", precedence.Unknown},
		"a version against an image":   {"2.3.119", "ghcr.io/acme/shop:2.3.120", precedence.Lower},
		"a release's tag":              {"2.3.119", "shop-v2.3.120", precedence.Lower},
		"a folder's tag":               {"shop/v2.3.121", "shop/v2.3.120", precedence.Higher},
		"below a range":                {"2.2.9", "^2.3", precedence.Lower},
		"inside a range":               {"2.3.119", "^2.3", precedence.Uncertain},
		"above a range":                {"3.0.0", "^2.3", precedence.Higher},
		"inside a tilde":               {"2.3.119", "~2.3.0", precedence.Uncertain},
		"above a tilde":                {"2.4.0", "~2.3.0", precedence.Higher},
		"below two bounds":             {"2.2.0", ">=2.3 <3", precedence.Lower},
		"between two bounds":           {"2.3.119", ">=2.3.0, <3.0.0", precedence.Uncertain},
		"above two bounds":             {"3.0.0", ">=2.3 <3", precedence.Higher},
		"between two small ones":       {"2.3.119", ">=2.3.118 <2.3.121", precedence.Uncertain},
		"the upper end":                {"2.3.120", ">=2.3.118 <2.3.121", precedence.Higher},
		"no end":                       {"9.0.0", ">=2.3", precedence.Uncertain},
		"anything":                     {"9.0.0", "*", precedence.Uncertain},
		"inside a wildcard":            {"2.3.119", "2.3.x", precedence.Uncertain},
		"above a wildcard":             {"2.4.0", "2.3.*", precedence.Higher},
		"in a gap":                     {"2.5.0", "~2.3 || ~3.1", precedence.Lower},
		"above all parts":              {"3.2.0", "~2.3 || ~3.1", precedence.Higher},
		"inside a hyphen's":            {"2.3.119", "2.3.100 - 2.3.120", precedence.Uncertain},
		"the end of a hyphen's":        {"2.3.120", "2.3.100 - 2.3.120", precedence.Higher},
		"candidates are admitted":      {"2.3.0-rc.1", ">=2.3.0-0 <2.3.0", precedence.Higher},
		"words":                        {"2.3.119", "latest", precedence.Unknown},
		"a commit":                     {"sha-0a1b2c3", "sha-0a1b2c4", precedence.Unknown},
		"an address":                   {"10.0.0.1", "10.0.0.2", precedence.Unknown},
		"a digest alone":               {"2.3.119", digest[1:], precedence.Unknown},
		"a range is no single version": {"^2.3", "2.3.119", precedence.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := precedence.Compare(test.text, test.other); got != test.want {
				t.Errorf("%s against %s: %d, want %d", test.text, test.other, got, test.want)
			}
		})
	}
}

func TestRow61_VersionsWithoutTheirLastNumbers(t *testing.T) {
	parse := func(text string) precedence.Version {
		v, ok := precedence.Parse(text)
		if !ok {
			t.Fatalf("%s is no version", text)
		}
		return v
	}
	if got := parse("2.3.119").Compare(parse("2.3")); got != precedence.Higher {
		t.Errorf("a plain 2.3 is 2.3.0: %d", got)
	}
	for text, want := range map[string]precedence.Order{
		"2.3.119": precedence.Uncertain, "2.4.0": precedence.Higher, "2.2.9": precedence.Lower, "2.3": precedence.Same, "2.4": precedence.Higher,
	} {
		if got := parse(text).Compare(parse("2.3").AsRange()); got != want {
			t.Errorf("%s against 2.3 of a chart: %d, want %d", text, got, want)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("2.3.119", ">=2.3 <3 || 4.x")
	f.Add("ghcr.io/a/b:1.0.0", "1.2 - 2"+digest)
	f.Fuzz(func(t *testing.T, text, other string) {
		a, okA := precedence.Parse(text)
		b, okB := precedence.Parse(other)
		if okA && okB && a.Compare(b) == precedence.Lower && b.Compare(a) == precedence.Lower {
			t.Errorf("%q and %q are lower than each other", text, other)
		}
	})
}
