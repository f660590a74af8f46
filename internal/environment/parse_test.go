package environment_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

const head = "apiVersion: lockstep.dev/v1alpha1\nkind: Environments\nenvironments:\n"

// one is a file with one environment and these further lines in it.
func one(lines string) string {
	return head + "- name: staging\n  repository: https://h/staging\n  namespace: acme\n" + lines
}

func parse(t *testing.T, text string) *environment.Environments {
	t.Helper()
	file, err := environment.Parse("e.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func example(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/environments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryDefaultIsFilledIn(t *testing.T) {
	got := asJSON(t, parse(t, one("  after: []\n  windows: [{days: Fri}, {hours: '22:00-04:00', zone: Asia/Tokyo}]\n")).Environments)
	want := `[{"name":"staging","repository":"https://h/staging","path":".","namespace":"acme","promotion":"Manual","delivery":"commit",` +
		`"windows":[{"days":"Fri","hours":"00:00-24:00","zone":"UTC"},{"days":"Mon-Sun","hours":"22:00-04:00","zone":"Asia/Tokyo"}],"frozen":false,"rollback":"Manual"}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatIsWellWritten(t *testing.T) {
	for name, lines := range map[string]string{
		"branch with folders": "  branch: release/2026.1\n", "path": "  path: deploy/staging/\n", "no soak": "  soak: 0s\n",
		"true": "  frozen: True\n", "alias": "  windows: &w [{days: Mon}]\n- {name: b, repository: https://h/b, namespace: b, windows: *w}\n",
		"days": "  windows: [{days: 'Sat-Mon, Wed'}]\n", "to midnight": "  windows: [{hours: 20:00-24:00}]\n",
		"same repository, other branch": "  branch: a\n- {name: b, repository: https://h/staging.git, branch: b, namespace: b}\n",
		"same repository, other path":   "- {name: b, repository: https://h/staging, path: b, namespace: b}\n",
		"same path, other file":         "  file: a.yaml\n- {name: b, repository: https://h/staging, file: b.yaml}\n",
		"same file, other value":        "  file: a.yaml\n  valuePath: .a\n- {name: b, repository: https://h/staging, file: a.yaml, valuePath: '[\"b\"]'}\n",
		"same path, other port":         "- {name: b, repository: https://h:3000/staging, namespace: b}\n",
	} {
		if _, err := environment.Parse("e.yaml", []byte(one(lines))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:7480/git/acme/e.git", "ssh://git@h:2222/acme/e", "git@h:acme/e.git", "file:///srv/git/e.git", "/srv/git/e.git"} {
		if _, err := environment.Parse("e.yaml", []byte(strings.Replace(one(""), "https://h/staging", url, 1))); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestRow32_EveryFaultHasItsPlace: each text has one fault, and says so once.
func TestRow32_EveryFaultHasItsPlace(t *testing.T) {
	second := func(rest string) string {
		return one("- {name: b, repository: https://h/b, namespace: b" + rest + "}\n")
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":                {"", "1:1: the file is empty"},
		"a list":               {"- a\n", "1:1: the file is a mapping of keys to values, not a list"},
		"two documents":        {one("---\na: b\n"), "8:1: a second document"},
		"tab":                  {head + "\t- a\n", "4:1: a tab"},
		"a key twice":          {one("  name: b\n"), `7:3: key "name" appears twice`},
		"no kind":              {strings.Replace(one(""), "kind: Environments\n", "", 1), "1:1: the file needs the key kind"},
		"other version":        {strings.Replace(one(""), "v1alpha1", "v9", 1), `1:13: apiVersion: "lockstep.dev/v9" is not known here; it is lockstep.dev/v1alpha1`},
		"unknown key":          {one("  brunch: main\n"), `7:3: an environment has no key "brunch"; did you mean branch?`},
		"unknown key, top":     {one("") + "more: 1\n", `7:1: the file has no key "more"; there are apiVersion, kind, environments`},
		"merge key":            {one("  <<: {}\n"), "7:3: an environment has only keys that are written out"},
		"no name":              {strings.Replace(one(""), "name: staging\n  ", "", 1), "4:3: an environment needs the key name"},
		"a text for a mapping": {head + "- staging\n", "4:3: an environment is a mapping of keys to values, not a text"},
		"a mapping for a list": {head + "  a: b\n", "4:3: environments: a list belongs here, not a mapping"},
		"number":               {one("  branch: 1\n"), "7:11: branch: a text belongs here, not a number"},
		"date":                 {one("  branch: 2026-01-01\n"), "7:11: branch: a text belongs here, not a date"},
		"nothing":              {one("  branch:\n"), "branch: a text belongs here, not nothing"},
		"yes":                  {one("  frozen: yes\n"), "7:11: frozen: true or false belongs here, not a text"},
		"tagged yes":           {one("  frozen: !!bool yes\n"), `frozen: true or false belongs here, not "yes"`},
		"capital":              {strings.Replace(one(""), "staging", "Staging", 1), `4:9: name: "Staging" is not made of`},
		"hyphen":               {strings.Replace(one(""), "name: staging", "name: staging-", 1), "is not made of"},
		"long":                 {strings.Replace(one(""), "name: staging", "name: "+strings.Repeat("a", environment.MaxName+1), 1), "has 43 characters, more than the 42"},
		"long namespace":       {strings.Replace(one(""), "acme", strings.Repeat("a", environment.MaxNamespace+1), 1), "has 55 characters, more than the 54"},
		"strategy":             {one("  promotion: auto\n"), `7:14: promotion: "auto" is not known here; did you mean Auto?`},
		"delivery":             {one("  delivery: merge\n"), "delivery: \"merge\" is not known here; there are commit, pull-request"},
		"rollback":             {one("  rollback: Never\n"), `7:13: rollback: "Never" is not known here; there are Auto, Manual`},
		"rollback by others":   {one("  rollback: Auto\n  file: a.yaml\n"), "7:13: rollback: another tool deploys this environment"},
		"rollback by request":  {one("  rollback: Auto\n  delivery: pull-request\n"), "7:13: rollback: it takes pull requests"},
		"name twice":           {strings.Replace(second(""), "name: b", "name: staging", 1), `7:10: name: "staging" is the name of another environment, on line 4`},
		"after itself":         {one("  after: [staging]\n"), `7:11: after: "staging" waits for itself`},
		"after nobody":         {second(", after: [stagin]"), `after: there is no environment "stagin"; did you mean staging?`},
		"after another tool":   {one("  file: a.yaml\n- {name: b, repository: https://h/b, namespace: b, after: [staging]}\n"), `after: another tool deploys "staging", so there are no deployment records`},
		"after twice":          {second(", after: [staging, staging]"), `after: "staging" stands here twice`},
		"after no name":        {one("  after: ['']\n"), "7:11: after: the name of an environment is empty"},
		"after a number":       {one("  after: [1]\n"), "7:11: after: a text belongs here, not a number"},
		"circle of two":        {one("  after: [b]\n- {name: b, repository: https://h/b, namespace: b, after: [staging]}\n"), `8:60: after: each waits for the next, and the last for the first: "staging", "b", "staging"`},
		"one place":            {strings.Replace(second(""), "https://h/b", "https://H:443/staging.git/", 1), "7:25: repository: the same repository, branch and path as of the environment on line 4"},
		"one place, SSH":       {strings.Replace(second(""), "https://h/b", "git@h:staging.git", 1), "the same repository, branch and path"},
		"one place, perhaps":   {strings.Replace(second(", branch: main"), "https://h/b", "https://h/staging", 1), "name the branch of both"},
		"soak of nothing":      {one("  soak: 2h\n"), "7:9: soak: it counts from the verification"},
		"soak in days":         {second(", after: [staging], soak: 1d"), `soak: "1d" is no duration such as 30m or 2h; days are written as hours`},
		"negative soak":        {second(", after: [staging], soak: -1h"), "is not between 0s and 8784h"},
		"endless soak":         {second(", after: [staging], soak: 9000h"), "is not between 0s and 8784h"},
		"days":                 {one("  windows: [{days: Monday}]\n"), `7:20: days: "Monday" is not made of Mon`},
		"days without quotes":  {one("  windows: [{days: Mon,Wed}]\n"), `7:24: key "Wed" in a window: a list of days stands in quotes`},
		"hours":                {one("  windows: [{hours: 9-16}]\n"), `hours: "9-16" is not of the form 09:00-16:00`},
		"hours that end first": {one("  windows: [{hours: 09:00-09:00}]\n"), "they end when they begin"},
		"25 o'clock":           {one("  windows: [{hours: 09:00-25:00}]\n"), "is not of the form"},
		"zone":                 {one("  windows: [{days: Mon, zone: Europe/Berlim}]\n"), `zone: "Europe/Berlim" is no time zone`},
		"this machine's zone":  {one("  windows: [{days: Mon, zone: Local}]\n"), "is no time zone"},
		"one place, a file":    {one("  file: a.yaml\n- {name: b, repository: https://h/staging, path: ., file: ./a.yaml}\n"), "the same repository, branch and path"},
		"neither":              {strings.Replace(one(""), "  namespace: acme\n", "", 1), "4:3: an environment needs the key namespace"},
		"a folder for a file":  {one("  file: apps/\n"), `7:9: file: "apps/" is a folder`},
		"path without a file":  {one("  valuePath: .a\n"), "7:14: valuePath: it is a place in a file, and there is no file"},
		"no path":              {one("  file: a\n  valuePath: image.tag\n"), `8:14: valuePath: "image.tag" is no path such as .image.tag`},
		"zone alone":           {one("  windows: [{zone: UTC}]\n"), "7:13: a window needs days, hours or both"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.text, c.want) })
	}
}

// refused wants exactly one fault, at its place in e.yaml.
func refused(t *testing.T, text, want string) {
	t.Helper()
	_, err := environment.Parse("e.yaml", []byte(text))
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != environment.Invalid {
		t.Errorf("fault = %+v", f)
	}
	if got := err.Error(); !strings.HasPrefix(got, "e.yaml:") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
		t.Errorf("got  %s\nwant %s, alone", got, want)
	}
}

func TestRow32_AllFaultsAreReportedTogether(t *testing.T) {
	_, err := environment.Parse("e.yaml", []byte(head+"- {name: A, repository: h, namespace: n, after: [b, c], soak: x}\n- {name: b, namespace: N}\n- 7\n"))
	var places []string
	for line := range strings.Lines(fmt.Sprint(err)) {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, strings.TrimPrefix(place, "e.yaml:"))
	}
	if got, want := strings.Join(places, " "), "4:10 4:25 4:53 4:63 5:3 5:24 6:3"; got != want {
		t.Errorf("faults at %s, want %s:\n%v", got, want, err)
	}
}

func TestRow34_LargeFilesAndAliases(t *testing.T) {
	refused(t, strings.Repeat("#", environment.MaxSize+1), "1:1: the file is larger than")
	refused(t, head+strings.Repeat("- {}\n", 501), "environments: 501 items, more than the 500")
	windows := "  windows: [" + strings.Repeat("{days: Mon},", 21) + "]\n"
	refused(t, one(windows), "windows: 21 items, more than the 20")
	_, err := environment.Parse("e.yaml", []byte(head+strings.Repeat("- {}\n", 400)))
	if text := fmt.Sprint(err); strings.Count(text, "\n") != 50 || !strings.HasSuffix(text, "e.yaml: and more") {
		t.Errorf("got %d lines, the last: %s", strings.Count(text, "\n"), text[strings.LastIndex(text, "\n")+1:])
	}
}

// TestRow34_AListThatIsNamedOftenCostsLittle: a list of names or windows is
// written once, and an alias in every environment stands for it.
func TestRow34_AListThatIsNamedOftenCostsLittle(t *testing.T) {
	for name, line := range map[string]string{
		"names": "after: %s", "windows": "windows: %s",
	} {
		list := "[" + strings.TrimSuffix(strings.Repeat("{hours: 10:00-11:00, zone: Europe/Berlin},", 20), ",") + "]"
		if name == "names" {
			list = "["
			for i := range 500 {
				list += fmt.Sprintf("%s%03d,", strings.Repeat("b", 39), i)
			}
			list += "]"
		}
		text := head
		for i := range 500 {
			if i == 1 {
				list = "*l"
			} else if i == 0 {
				list = "&l " + list
			}
			text += fmt.Sprintf("- {name: %s%03d, repository: https://h/%d, namespace: a, %s}\n", strings.Repeat("a", 39), i, i, fmt.Sprintf(line, list))
		}
		start := time.Now()
		_, err := environment.Parse("e.yaml", []byte(text))
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %s", name, took)
		}
		if name == "windows" && err != nil || name == "names" && !strings.Contains(fmt.Sprint(err), "there is no environment") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRow36_PathsStayInside(t *testing.T) {
	for _, path := range []string{"..", "../x", "a/../../x", "/etc", ".git", "a/.git/hooks", `a\b`, `"a\nb"`, `""`, "-x"} {
		refused(t, one("  path: "+path+"\n"), "7:9: path: ")
		refused(t, one("  file: "+path+"\n"), "7:9: file: ")
	}
}

func TestRow40_NothingPassesForAnOptionOrARef(t *testing.T) {
	for _, branch := range []string{"-x", "a/-x", "refs/heads/main", "a/../../config", "a..b", "a b", "a~1", "a:b", "'*'", "a.lock", "/a", "a/", "a//b", ".a", "a.", "'@{-1}'", `""`} {
		refused(t, one("  branch: "+branch+"\n"), "7:11: branch: ")
	}
	for _, url := range []string{"-x", "--upload-pack=x", "ext::sh -c id", "ssh://-oProxyCommand=x/y", "ssh://-x@h/y", "-x@h:y", "git@-x:y", "git@h:-x", "https://h/-x", "https://h", "https:///x", "h/x", "ftp://h/x", "../x", `""`, "file://h/x"} {
		refused(t, strings.Replace(one(""), "https://h/staging", url, 1), "5:15: repository: ")
	}
}

func TestRow46_PasswordsAreNotRepeated(t *testing.T) {
	for _, url := range []string{
		"https://u:canary@h/x", "https://canary@h/x", "https://canary:@h/x", "http://u:ca%zznary@h/x", "ssh://u:canary@h/x", "u:canary@h:x",
		"https://h/x?access_token=canary", "https://h/x#canary", "https://u:canary@h:port/x", "file://u:canary@/x",
	} {
		for _, key := range []string{"repository: https://h/staging", "name: staging", "namespace: acme"} {
			name, _, _ := strings.Cut(key, ":")
			_, err := environment.Parse("e.yaml", []byte(strings.Replace(one(""), key, name+": '"+url+"'", 1)))
			if err == nil {
				t.Errorf("%s: %s is taken", name, url)
			} else if text := err.Error(); name == "repository" && strings.Contains(text, "nary") || strings.Contains(text, "canary@") {
				t.Errorf("%s: %s", url, text)
			}
		}
	}
}

// FuzzParse: no text makes it panic, and what is accepted is the same file
// when its JSON is read again.
func FuzzParse(f *testing.F) {
	f.Add(example(f))
	f.Add(one("  after: [b]\n  windows: &w [{days: 'Sat-Mon, Wed', hours: 22:00-04:00}]\n- {name: b, repository: git@h:b, namespace: b, windows: *w}\n"))
	f.Add(one("  file: 'apps/{application}.yaml'\n  valuePath: '.{application}.tag'\n"))
	f.Add("a: &a [*a]\n")
	f.Add(head + "- &e {name: a, after: [*e]}\n- *e\n")
	f.Add(head + "- {? {a: b} : c, <<: {name: d}, 7: e}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := environment.Parse("e.yaml", []byte(text))
		if err != nil {
			if fault.Of(err).Kind != fault.KindUsage {
				t.Fatalf("fault of %q: %v", text, err)
			}
			return
		}
		if ordered := file.InOrder(); len(ordered) != len(file.Environments) {
			t.Fatalf("%d of %d environments are in order", len(ordered), len(file.Environments))
		}
		written := asJSON(t, file)
		again, err := environment.Parse("e.json", []byte(written))
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if got := asJSON(t, again); got != written {
			t.Fatalf("read again: %s\nwant: %s", got, written)
		}
	})
}
