package application_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/application"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

const head = "apiVersion: lockstep.dev/v1alpha1\nkind: Applications\napplications:\n"

// entry are the keys that every application has. The name is on line 4, and
// what a test adds begins on line 12.
const entry = `- name: web
  repository: https://h/web
  testImage: golang:1.26
  testCommand: go test ./...
  imageBase: scratch
  imageFiles: [dist/web:/web]
  imageRepository: h/acme/web
  chartRepository: oci://h/charts
`

// one is a file with one application and these further lines in it.
func one(lines string) string { return head + entry + lines }

// with is one where a key has another value.
func with(key, value string) string {
	var lines []string
	for line := range strings.Lines(one("")) {
		if before, _, _ := strings.Cut(line, ": "); strings.TrimLeft(before, " -") == key {
			line = before + ": " + value + "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// second is a file with two applications: web, with these lines, and app, where
// web's values are replaced by others, old and new in turn.
func second(lines string, replace ...string) string {
	replace = append([]string{"name: web", "name: app"}, replace...)
	return one(lines) + strings.NewReplacer(replace...).Replace(entry)
}

func parse(t *testing.T, text string) *application.Applications {
	t.Helper()
	file, err := application.Parse("a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// full has every key.
const full = head + `- name: user-service
  repository: https://git.example.com/acme/user-service.git
  branch: main
  testImage: docker.io/library/golang:1.26
  testCommand: go test ./... && CGO_ENABLED=0 go build -o dist/ .
  imageBase: gcr.io/distroless/static-debian12:nonroot
  imageFiles: ["dist/user-service:/usr/bin/user-service"]
  imageEntrypoint: [/usr/bin/user-service, "-v", a b]
  imageRepository: registry.example.com/acme/user-service
  chartPath: charts/user-service/
  chartRepository: oci://registry.example.com/charts
  chartName: user
  chartAlias: user_1
  addMissing: true
`

func TestEveryKeyIsRead(t *testing.T) {
	want := `[{"name":"user-service","repository":"https://git.example.com/acme/user-service.git","branch":"main","testImage":"docker.io/library/golang:1.26",` +
		`"testCommand":"go test ./... \u0026\u0026 CGO_ENABLED=0 go build -o dist/ .","imageBase":"gcr.io/distroless/static-debian12:nonroot",` +
		`"imageFiles":["dist/user-service:/usr/bin/user-service"],"imageEntrypoint":["/usr/bin/user-service","-v","a b"],"imageRepository":"registry.example.com/acme/user-service",` +
		`"chartPath":"charts/user-service","chartRepository":"oci://registry.example.com/charts","chartName":"user","chartAlias":"user_1","addMissing":true}]`
	if got := asJSON(t, parse(t, full).Applications); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = `[{"name":"web","repository":"https://h/web","testImage":"golang:1.26","testCommand":"go test ./...","imageBase":"scratch",` +
		`"imageFiles":["dist/web:/web"],"imageRepository":"h/acme/web","chartRepository":"oci://h/charts"}]`
	if got := asJSON(t, parse(t, one("")).Applications); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestChartFolder(t *testing.T) {
	for lines, want := range map[string]string{"": "charts/web", "  chartPath: .\n": ".", "  chartPath: deploy/chart\n": "deploy/chart"} {
		if got := parse(t, one(lines)).Applications[0].ChartFolder(); got != want {
			t.Errorf("%s: %s, want %s", lines, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	file := parse(t, second("", "h/web", "h/app"))
	if a, err := file.Find("app"); err != nil || a.Repository != "https://h/app" {
		t.Errorf("%+v, %v", a, err)
	}
	for name, want := range map[string]string{
		"wbe":   "",
		"other": `there is no application "other"; there are web, app`,
		"u:p@h": "there is no application (a text with @ in it); there are web, app",
	} {
		_, err := file.Find(name)
		if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != "UnknownApplication" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	billing := strings.ReplaceAll(one(""), "name: web", "name: billing")
	if _, err := parse(t, billing).Find("biling"); !strings.Contains(fmt.Sprint(err), "did you mean billing?") {
		t.Error(err)
	}
}

func TestWhatIsWellWritten(t *testing.T) {
	for name, text := range map[string]string{
		"none":                          strings.TrimSuffix(head, "\n") + " []\n",
		"a script":                      with("testCommand", "|\n    set -e\n    echo \"${HOME}\" `date` $HOME\n"),
		"longest command":               with("testCommand", strings.Repeat("a", 4096)),
		"image by digest":               with("imageBase", "h:5000/a/b@sha256:"+strings.Repeat("a", 64)),
		"image by both":                 with("testImage", "h/a:1@sha256:"+strings.Repeat("a", 64)),
		"a folder":                      with("imageFiles", `["dist/:/usr/share/", ./a:/b]`),
		"registry with port":            with("imageRepository", "127.0.0.1:5000/acme/web"),
		"charts over HTTP":              with("chartRepository", "http://127.0.0.1:8080"),
		"charts by ChartMuseum":         with("chartRepository", "https://charts.example.com/acme/"),
		"same repository, other branch": second("  branch: a\n  chartPath: c\n") + "  branch: b\n  chartPath: c\n",
		"same repository, other chart":  second(""),
		"other port, same chart":        second("  chartPath: c\n", "https://h/web", "https://h:3000/web") + "  chartPath: c\n",
		"alias of a list":               strings.Replace(second(""), "[dist/web:/web]", "&f [dist/web:/web]", 1) + "  imageEntrypoint: [/web]\n",
	} {
		if _, err := application.Parse("a.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:7480/git/acme/e.git", "ssh://git@h:2222/acme/e", "git@h:acme/e.git", "file:///srv/git/e.git", "/srv/git/e.git"} {
		parse(t, with("repository", url))
	}
}

// TestRow32_EveryFaultOfAnApplicationHasItsPlace: each text has one fault, and
// says so once.
func TestRow32_EveryFaultOfAnApplicationHasItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "1:1: the file is empty"},
		"a list":             {"- a\n", "1:1: the file is a mapping of keys to values, not a list"},
		"two documents":      {one("---\na: b\n"), "13:1: a second document"},
		"other kind":         {strings.Replace(one(""), "kind: Applications", "kind: Environments", 1), `2:7: kind: "Environments" is not known here; it is Applications`},
		"other version":      {strings.Replace(one(""), "v1alpha1", "v9", 1), `1:13: apiVersion: "lockstep.dev/v9" is not known here`},
		"unknown key":        {one("  chartpath: c\n"), `12:3: an application has no key "chartpath"; did you mean chartPath?`},
		"merge key":          {one("  <<: {}\n"), "12:3: an application has only keys that are written out"},
		"a text":             {head + "- web\n", "4:3: an application is a mapping of keys to values, not a text"},
		"a number":           {with("testImage", "1.26"), "6:14: testImage: a text belongs here, not a number"},
		"capital":            {with("name", "Web"), `4:9: name: "Web" is not made of`},
		"long":               {with("name", strings.Repeat("a", application.MaxName+1)), "4:9: name: \"aaaaaaaaaaaaaaaaaaaa…\" has 43 characters, more than the 42"},
		"no files":           {with("imageFiles", "[]"), "9:15: imageFiles: a list of nothing; it has at least one item"},
		"a file":             {with("imageFiles", "dist/web:/web"), "9:15: imageFiles: a list belongs here, not a text"},
		"no entrypoint":      {one("  imageEntrypoint: []\n"), "12:20: imageEntrypoint: a list of nothing"},
		"relative target":    {with("imageFiles", "[a:/a, dist/web:web]"), `9:22: imageFiles: "dist/web:web" is not source:target with an absolute target`},
		"no target":          {with("imageFiles", "[dist/web]"), "is not source:target"},
		"target with ..":     {with("imageFiles", "[a:/usr/../a]"), "is not source:target"},
		"empty word":         {one("  imageEntrypoint: ['']\n"), "12:21: imageEntrypoint: it is empty"},
		"blank command":      {with("testCommand", "'  '"), "7:16: testCommand: it is empty"},
		"long command":       {with("testCommand", strings.Repeat("a", 4097)), "7:16: testCommand: it has 4097 bytes, more than the 4096"},
		"long image":         {with("testImage", strings.Repeat("a", 1001)), "6:14: testImage: it has 1001 bytes, more than the 1000"},
		"long repository":    {with("repository", "https://h/"+strings.Repeat("a", 1000)), "5:15: repository: it has 1010 bytes"},
		"a tab":              {with("testCommand", `"a\tb"`), "7:16: testCommand: it contains a control character"},
		"a line break":       {with("imageFiles", `["a:/a\nb:/b"]`), "9:16: imageFiles: it contains a control character"},
		"another line break": {with("testCommand", `"a\x85b"`), "it contains a control character"},
		"outer blank":        {one("  imageEntrypoint: [' a']\n"), "12:21: imageEntrypoint: it begins or ends with a blank"},
		"no image":           {with("imageBase", "https://h/a"), "8:14: imageBase: it is no image such as"},
		"image with blank":   {with("testImage", "a b"), "6:14: testImage: it is no image"},
		"image as option":    {with("testImage", "--a"), "6:14: testImage: it is no image"},
		"a tag":              {with("imageRepository", "h/acme/web:1.0"), "10:20: imageRepository: it ends with a tag or a digest"},
		"a digest":           {with("imageRepository", "h/web@sha256:"+strings.Repeat("a", 64)), "imageRepository: it ends with a tag or a digest"},
		"charts in a folder": {with("chartRepository", "/srv/charts"), "11:20: chartRepository: it is none of oci://host/path"},
		"charts with blank":  {with("chartRepository", "oci://h/a b"), "chartRepository: it contains a blank"},
		"charts of no host":  {with("chartRepository", "oci:///charts"), "chartRepository: it is none of"},
		"a chart's path":     {one("  chartName: charts/web\n"), `12:14: chartName: "charts/web" is no name of a chart`},
		"an alias of two":    {one("  chartAlias: a b\n"), `12:15: chartAlias: "a b" is no name of a chart`},
		"name twice":         {one("") + strings.Replace(entry, "h/web", "h/app", 1), `12:9: name: "web" is the name of another application, on line 4`},
		"one chart":          {second("  chartPath: c\n", "https://h/web", "https://H:443/web.git/") + "  chartPath: c/\n", "14:15: repository: the same repository, branch and chart path as of the application on line 4"},
		"one chart, SSH":     {second("  chartPath: charts/app\n", "https://h/web", "git@h:web"), "the same repository, branch and chart path"},
		"one chart, perhaps": {second("  chartPath: c\n  branch: b\n") + "  chartPath: c\n", "15:15: repository: the same repository and chart path as of the application on line 4; name the branch of both"},
		"perhaps, the first": {second("  chartPath: c\n") + "  chartPath: c\n  branch: b\n", "name the branch of both"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.text, c.want) })
	}
	for _, key := range []string{"name", "repository", "testImage", "testCommand", "imageBase", "imageFiles", "imageRepository", "chartRepository"} {
		text := strings.Replace(with(key, "X"), "- "+key+": X\n  ", "- ", 1)
		refused(t, strings.Replace(text, "  "+key+": X\n", "", 1), "4:3: an application needs the key "+key)
	}
}

// refused wants exactly one fault, at its place in a.yaml.
func refused(t *testing.T, text, want string) {
	t.Helper()
	_, err := application.Parse("a.yaml", []byte(text))
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != application.Invalid {
		t.Errorf("fault = %+v", f)
	}
	if got := err.Error(); !strings.HasPrefix(got, "a.yaml:") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
		t.Errorf("got  %s\nwant %s, alone", got, want)
	}
}

func TestRow32_AllFaultsOfApplicationsAreReportedTogether(t *testing.T) {
	_, err := application.Parse("a.yaml", []byte(head+"- 7\n"+strings.Replace(entry, "name: web", "name: W", 1)+"  imageEntrypoint: ['', a, 1]\n  more: 1\n"))
	var places []string
	for line := range strings.Lines(fmt.Sprint(err)) {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, strings.TrimPrefix(place, "a.yaml:"))
	}
	if got, want := strings.Join(places, " "), "4:3 5:9 13:21 13:28 14:3"; got != want {
		t.Errorf("faults at %s, want %s:\n%v", got, want, err)
	}
}

// everywhere puts a text into every place of a file that takes one.
func everywhere(text string) map[string]string {
	quoted := "'" + text + "'"
	all := map[string]string{
		"imageFiles": with("imageFiles", "['dist/web:/web"+text+"']"), "imageFiles, source": with("imageFiles", "['"+text+":/web']"),
		"imageEntrypoint": one("  imageEntrypoint: [" + quoted + "]\n"),
	}
	for _, key := range []string{"name", "repository", "testImage", "testCommand", "imageBase", "imageRepository", "chartRepository"} {
		all[key] = with(key, quoted)
	}
	for _, key := range []string{"branch", "chartPath", "chartName", "chartAlias"} {
		all[key] = one("  " + key + ": " + quoted + "\n")
	}
	return all
}

// TestRow40_NothingPassesForAVariable: Tekton would put another value in its
// place, such as a result of a step or a path that only it knows.
func TestRow40_NothingPassesForAVariable(t *testing.T) {
	for _, text := range []string{"$(params.url)", "https://h/$(context.taskRun.name)", "git@h:$(a)", "oci://h/$(a)", "a$(b)", "$$(a)", "$(", "a$$"} {
		for key, file := range everywhere(text) {
			_, err := application.Parse("a.yaml", []byte(file))
			if says := fmt.Sprint(err); err == nil || key != "name" && !strings.Contains(says, "$( or $$, in which Tekton and Kubernetes see marks of their own") {
				t.Errorf("%s: %s: %v", key, text, err)
			}
		}
	}
}

func TestRow36_PathsOfApplicationsStayInside(t *testing.T) {
	for _, path := range []string{"..", "../x", "a/../../x", "/etc", ".git", "a/.git/hooks", `a\b`, "-x"} {
		refused(t, one("  chartPath: "+path+"\n"), "12:14: chartPath: ")
		refused(t, with("imageFiles", "["+path+":/web]"), "9:16: imageFiles: ")
	}
}

func TestRow46_CredentialsAreRefusedAndNotRepeated(t *testing.T) {
	for key, values := range map[string][]string{
		"repository": {"https://u:canary@h/x", "https://canary@h/x", "https://h/x?access_token=canary", "u:canary@h:x", "http://u:ca%zznary@h/x"},
		"testImage":  {"u:canary@h/x", "canary@h/x:1", "https://u:canary@h/x", "u:canary@h/x@sha256:" + strings.Repeat("a", 64), "h/x?canary", "u:canary@sha256:aa"},
		"chartRepository": {
			"oci://u:canary@h/x", "https://canary@h/x", "https://canary:@h", "https://h/x?token=canary", "https://h/x#canary", "u:canary@h/x", "https://u:ca%zznary@h", "https://h:canary/x", "canary",
		},
	} {
		keys := []string{key}
		if key == "testImage" {
			keys = append(keys, "imageBase", "imageRepository")
		}
		for _, key := range keys {
			for _, value := range values {
				_, err := application.Parse("a.yaml", []byte(with(key, "'"+value+"'")))
				if err == nil {
					t.Errorf("%s: %s is taken", key, value)
				} else if strings.Contains(err.Error(), "nary") {
					t.Errorf("%s: %s: %v", key, value, err)
				}
			}
		}
	}
	for key, file := range everywhere("https://u:canary@h/x") {
		if _, err := application.Parse("a.yaml", []byte(file)); err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestRow34_LargeFilesOfApplications(t *testing.T) {
	refused(t, strings.Repeat("#", application.MaxSize+1), "1:1: the file is larger than")
	refused(t, head+strings.Repeat("- {}\n", 5001), "applications: 5001 items, more than the 5000")
	refused(t, with("imageFiles", "["+strings.Repeat("a:/a,", 51)+"]"), "imageFiles: 51 items, more than the 50")
	refused(t, one("  imageEntrypoint: ["+strings.Repeat("a,", 51)+"]\n"), "imageEntrypoint: 51 items, more than the 50")
}

// TestRow34_ManyApplicationsCostLittle: also where all are in one repository,
// and a list that is written once stands in each.
func TestRow34_ManyApplicationsCostLittle(t *testing.T) {
	var text strings.Builder
	text.WriteString(head)
	for i := range 5000 {
		files := "*f"
		if i == 0 {
			files = "&f [" + strings.TrimSuffix(strings.Repeat("dist/web:/web,", 50), ",") + "]"
		}
		fmt.Fprintf(&text, "- {name: web-%d, repository: https://h/web, branch: b%d, testImage: golang, testCommand: go test, imageBase: scratch, imageFiles: %s, "+
			"imageRepository: h/acme/web, chartRepository: \"oci://h/c\", chartPath: c}\n", i, i, files)
	}
	start := time.Now()
	file := parse(t, text.String())
	if took := time.Since(start); len(file.Applications) != 5000 || took > 10*time.Second {
		t.Errorf("%d applications, %s", len(file.Applications), took)
	}
}

// FuzzParse: no text makes it panic, and what is accepted is the same file when
// its JSON is read again.
func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add(second("  imageEntrypoint: &e [/web]\n", "h/web", "h/app") + "  imageEntrypoint: *e\n")
	f.Add(with("testCommand", "|\n    a\n    b\n"))
	f.Add("a: &a [*a]\n")
	f.Add(head + "- {? {a: b} : c, <<: {name: d}, 7: e}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := application.Parse("a.yaml", []byte(text))
		if err != nil {
			if fault.Of(err).Kind != fault.KindUsage {
				t.Fatalf("fault of %q: %v", text, err)
			}
			return
		}
		written := asJSON(t, file)
		if strings.Contains(written, "$(") {
			t.Fatalf("a variable of Tekton's: %s", written)
		}
		again, err := application.Parse("a.json", []byte(written))
		if (err != nil) != (len(written) > application.MaxSize) { // aliases may make it longer than what is read
			t.Fatalf("%d bytes, %v: %.2000s", len(written), err, written)
		}
		if err != nil {
			return
		}
		if got := asJSON(t, again); got != written {
			t.Fatalf("read again: %s\nwant: %s", got, written)
		}
	})
}
