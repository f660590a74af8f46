package registry

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestReadIndex(t *testing.T) {
	for what, text := range map[string]string{
		"helm's form": `apiVersion: v1
entries:
  other:
  - version: 9.9.9
    urls: [x]
  user-service:
  - apiVersion: v2
    annotations:
      version: 6.6.6
    description: |
      - version: 7.7.7
      digest: no
    digest: ` + digest + `
    dependencies:
    - name: x
      version: 8.8.8
    name: user-service
    urls:
    - charts/user-service-2.3.118.tgz
    version: 2.3.118
generated: "2024-01-01T00:00:00Z"
`,
		"indented lists, quotes, comments": `
# made by hand
"entries":
    'user-service':   # ours
      - version: "2.3.118"   # latest
        digest: '` + digest + `'
        urls:
          - "charts/user-service-2.3.118.tgz"
`,
		"windows line ends": strings.ReplaceAll("entries:\n  user-service:\n    - urls:\n        - charts/user-service-2.3.118.tgz\n      digest: "+digest+"\n      version: 2.3.118\n", "\n", "\r\n"),
		"JSON":              `{"apiVersion":"v1","x":{"entries":{}},"entries":{"other":[{}],"user-service":[{"version":"2.3.118","digest":"` + digest + `","urls":["charts/user-service-2.3.118.tgz"]}]}}`,
	} {
		t.Run(what, func(t *testing.T) {
			found, err := readIndex(strings.NewReader(text), []string{"user-service", "absent"})
			if err != nil {
				t.Fatal(err)
			}
			want := "[{2.3.118 " + digest + " [charts/user-service-2.3.118.tgz]}]"
			if got := fmt.Sprint(found["user-service"]); got != want {
				t.Errorf("read %s, want %s", got, want)
			}
			if len(found["absent"])+len(found["other"]) > 0 {
				t.Errorf("read more than was asked for: %v", found)
			}
		})
	}
}

// TestIndexAsHelmReadsIt compares with Helm's own index of many charts whose
// texts try to look like entries.
func TestIndexAsHelmReadsIt(t *testing.T) {
	index := repo.NewIndexFile()
	texts := []string{"", "plain", "multi\nline\n- version: 1\n  urls:\n  - x", "'quotes' and \"more\"", "key: value # no comment", strings.Repeat("long words ", 40), "\ttab\n  \n\n- x"}
	for i, text := range texts {
		for v := range 3 {
			metadata := &chart.Metadata{APIVersion: "v2", Name: fmt.Sprintf("chart-%d", i), Version: fmt.Sprintf("1.0.%d", v), Description: text,
				Keywords: []string{"- version: 2", text}, Annotations: map[string]string{"urls": text, "version": text}}
			if err := index.MustAdd(metadata, fmt.Sprintf("c-%d-%d.tgz", i, v), "https://example.com", digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := yaml.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	for i := range texts {
		name := fmt.Sprintf("chart-%d", i)
		found, err := readIndex(strings.NewReader(string(text)), []string{name})
		if err != nil {
			t.Fatal(err)
		}
		if len(found[name]) != 3 {
			t.Fatalf("%s: %d entries in\n%s", name, len(found[name]), text)
		}
		for v, e := range found[name] {
			theirs := index.Entries[name][v]
			if e.Version != theirs.Version || e.Digest != theirs.Digest || fmt.Sprint(e.URLs) != fmt.Sprint(theirs.URLs) {
				t.Errorf("%s: %+v, Helm reads %s %s %v", name, e, theirs.Version, theirs.Digest, theirs.URLs)
			}
		}
	}
}

// TestIndexInEveryStyle holds the entries of a chart, written in the many ways
// of YAML, against what Helm reads. There may be an error; there may never be
// another answer, such as that a version does not exist.
func TestIndexInEveryStyle(t *testing.T) {
	for what, test := range map[string]struct {
		entries string
		read    bool // without an error
	}{
		"flow":                 {"  a:\n  - {name: a, version: 1.0.0, digest: D, urls: [x, \"y\"]}\n  - {version: 2.0.0, urls: [z]}\n", true},
		"flow as JSON":         {`  a:` + "\n" + `  - {"name":"a","version":"1.0.0","urls":["x"]}` + "\n", true},
		"flow over lines":      {"  a:\n  - {name: a,\n     version: 1.0.0,\n     urls: [x,\n       y]}\n  b: []\n", true},
		"flow between blocks":  {"  a:\n  - version: 1.0.0\n    urls:\n    - x\n  - {version: 2.0.0, urls: [y]}\n  - version: 3.0.0\n    urls: [z]\n", true},
		"flow urls":            {"  a:\n  - urls: [x]\n    version: 1.0.0\n", true},
		"a lonely dash":        {"  a:\n  -\n    version: 1.0.0\n    urls:\n    - x\n  -\n    version: 2.0.0\n", true},
		"a lonely url":         {"  a:\n  - version: 1.0.0\n    urls:\n    -\n      x\n", true},
		"quoted keys":          {"  a:\n  - \"version\": 1.0.0\n    'urls':\n    - x\n", true},
		"spaces before colon":  {"  a:\n  - version : 1.0.0\n    urls:\n    - x\n", true},
		"an escape":            {"  a:\n  - version: \"1.0\\u002e0\"\n    urls:\n    - x\n", true},
		"a quote in a comment": {"  a:\n  - version: '1.0.0' # it's\n    urls:\n    - 'x' # that's\n", true},
		"a folded value":       {"  a:\n  - version: >-\n      1.0.0\n    urls:\n    - x\n", true},
		"a value below":        {"  a:\n  - version:\n      1.0.0\n    urls:\n    - x\n", true},
		"a tag":                {"  a:\n  - version: !!str 1.0.0\n    urls:\n    - x\n", true},
		"an anchor":            {"  a:\n  - version: &v 1.0.0\n    appVersion: *v\n    urls:\n    - x\n", true},
		"an anchor elsewhere":  {"  b:\n  - version: &v 1.0.0\n  a:\n  - version: *v\n", false},
		"an alias":             {"  b:\n  - &e\n    version: 1.0.0\n  a:\n  - *e\n", false},
		"a merge":              {"  b:\n  - &e\n    version: 1.0.0\n  a:\n  - <<: *e\n    urls: [x]\n", false},
		"a complex key":        {"  a:\n  - ? version\n    : 1.0.0\n", true},
		"a complex chart":      {"  ? a\n  : - version: 1.0.0\n", false},
		"a flow chart":         {"  {a: [{version: 1.0.0}]}\n", false},
		"a flow list":          {"  a: [{version: 1.0.0}]\n", false},
		"a flow list below":    {"  a:\n    [{version: 1.0.0}]\n", false},
		"an anchored name":     {"  &n a:\n  - version: 1.0.0\n", false},
		"an odd name":          {"  \"\\x61\":\n  - version: 1.0.0\n", true},
		"a chart as mapping":   {"  a:\n    version: 1.0.0\n", false},
		"no entries":           {"  a: []\n  b:\n  - version: 1.0.0\n", true},
	} {
		t.Run(what, func(t *testing.T) {
			text := "apiVersion: v1\nentries:\n" + test.entries + "generated: x\n"
			found, err := readIndex(strings.NewReader(text), []string{"a"})
			if err != nil {
				if f := fault.Of(err); test.read || f.Reason != "IndexInvalid" {
					t.Fatalf("got %v", err)
				}
				return
			}
			var helms struct {
				Entries map[string][]indexEntry `json:"entries"`
			}
			if err := yaml.Unmarshal([]byte(text), &helms); err != nil {
				t.Fatalf("Helm does not read it: %v", err)
			}
			if got, want := fmt.Sprintf("%q", found["a"]), fmt.Sprintf("%q", helms.Entries["a"]); got != want {
				t.Errorf("read %s, Helm reads %s", got, want)
			}
		})
	}
}

func TestIndexThatIsNone(t *testing.T) {
	for what, text := range map[string]string{
		"empty":        " \n",
		"a web page":   "<!DOCTYPE html>\n<html></html>\n",
		"no entries":   "apiVersion: v1\n",
		"flow entries": "entries: {a: [{version: 1.0.0}]}\n",
		"flow chart":   "entries:\n  a: [{version: 1.0.0}]\n",
		"broken flow":  "entries:\n  a:\n  - {version: 1.0.0\n",
		"broken JSON":  `{"entries": {"a": [`,
	} {
		_, err := readIndex(strings.NewReader(text), []string{"a"})
		if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "IndexInvalid" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := readIndex(strings.NewReader("entries: {}\n"), []string{"a"}); err != nil {
		t.Errorf("a repository without charts: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("entries:\n"), &failing{})
	if _, err := readIndex(broken, []string{"a"}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a connection that breaks: %v", err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestLargeIndexNeedsLittleMemory reads 40 MB of index for one entry.
func TestLargeIndexNeedsLittleMemory(t *testing.T) {
	const entry = "  - description: some words about this version of the chart\n    version: 1.0.0\n    urls:\n    - charts/x.tgz\n"
	large := strings.NewReader("entries:\n  other:\n" + strings.Repeat(entry, 40<<20/len(entry)) + "  wanted:\n" + entry)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found, err := readIndex(large, []string{"wanted"})
	runtime.ReadMemStats(&after)
	if err != nil || len(found["wanted"]) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 60<<20 {
		t.Errorf("%d MB allocated", grown>>20)
	}
}
