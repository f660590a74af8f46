package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/lockstep-cd/lockstep/internal/runner"
	"github.com/lockstep-cd/lockstep/test/examples"
)

// wantShare of the eligible examples must run and end as Tekton ends them.
const wantShare = 0.8

// otherEnds are the examples that do not succeed on Tekton either when all its
// flags are at their defaults, by name. The conformance test compares them.
var otherEnds = map[string]string{
	"pipelineruns/alpha/pipelinerun-large-results.yaml": "Failed",     // results of more than 4 KB
	"taskruns/beta/large-task-result.yaml":              "StepFailed", // the same
}

// notHere are examples that the runner ends otherwise, by name with the reason.
var notHere = map[string]string{
	"taskruns/readonly-internal-dir.yaml":                       "the folders of other steps are not write-protected",
	"taskruns/creds-init-only-mounts-provided-credentials.yaml": "credentials come from a ServiceAccount; here from a folder",
}

// rows are the table that the test prints.
type rows struct {
	mu    sync.Mutex
	lines []string
	count map[string]int
}

func (r *rows) add(class, name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, name+"\t"+class+"\t"+text)
	r.count[class]++
}

func (r *rows) print(t *testing.T) {
	slices.Sort(r.lines)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(r.lines, "\n"))
	_ = w.Flush()
	t.Logf("examples/v1 of tektoncd/pipeline:\n%s", b.String())
}

// What the table says of an example.
const (
	ran     = "ran"     // and ended as wanted
	failed  = "FAILED"  // ended otherwise
	lacking = "lacking" // cannot end as wanted here: by name, or for want of a program
	refused = "refused" // needs what only a cluster has, and is told which field
	leftOut = "left out"
)

func TestTektonsExamples(t *testing.T) {
	all, err := examples.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	searchPath, err := examples.SearchPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	table := &rows{count: map[string]int{}}
	t.Run("each", func(t *testing.T) {
		for _, e := range all {
			t.Run(e.Name, func(t *testing.T) {
				t.Parallel()
				class, text := try(t, e, searchPath)
				table.add(class, e.Name, text)
			})
		}
	})
	table.print(t)
	eligible := table.count[ran] + table.count[failed] + table.count[lacking]
	share := float64(table.count[ran]) / float64(eligible)
	t.Logf("%d examples: %d eligible (no volume, sidecar or remote resolver in any object; admitted by Tekton with its default flags; not in a folder no-ci), "+
		"%d refused by field, %d left out", len(all), eligible, table.count[refused], table.count[leftOut])
	t.Logf("of the eligible %d ran and ended as wanted: %.1f %%", table.count[ran], 100*share)
	if share < wantShare {
		t.Errorf("less than %.0f %%", 100*wantShare)
	}
}

// try runs an example, or wants it refused, and says what the table says.
func try(t *testing.T, e examples.Example, searchPath string) (class, text string) {
	switch {
	case len(e.Needs) > 0 && e.Alpha == "":
		return refused, wantRefusal(t, e)
	case e.Alpha != "":
		return leftOut, wantNotAdmitted(t, e)
	case e.Special:
		reason, ok := examples.Environments[e.Name]
		if !ok {
			t.Errorf("it needs a special environment, and nobody said which: add it to the table")
		}
		return leftOut, "needs " + reason
	case notHere[e.Name] != "":
		return lacking, notHere[e.Name]
	}
	if why := e.Lacks(searchPath); why != "" {
		return lacking, why
	}
	text, err := runExample(t, e, searchPath)
	if err != nil {
		t.Error(err)
		return failed, strings.Join(strings.Fields(err.Error()), " ")
	}
	return ran, text
}

// runExample runs each run of a file and wants it to end as Tekton ends it.
func runExample(t *testing.T, e examples.Example, searchPath string) (string, error) {
	catalog, runs, err := load(e)
	if err != nil {
		return "", err
	}
	var ends []string
	dir := t.TempDir()
	for _, o := range runs {
		r := &runner.Runner{Catalog: catalog, Dir: dir, AllowHost: true, Environment: []string{"PATH=" + searchPath}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		outcome, err := r.Run(ctx, o)
		cancel()
		if err != nil {
			return "", err
		}
		c := succeeded(outcome)
		ends = append(ends, string(c.Status)+" "+c.Reason)
		if want := otherEnds[e.Name]; c.IsTrue() && want != "" || !c.IsTrue() && c.Reason != want {
			return "", fmt.Errorf("%s %s: %s\n%s", c.Status, c.Reason, c.Message, logs(dir))
		}
	}
	return strings.Join(ends, ", "), nil
}

func load(e examples.Example) (*runner.Catalog, []metav1.Object, error) {
	catalog := runner.NewCatalog()
	objects, err := catalog.AddFile(e.Path)
	runs := slices.DeleteFunc(objects, func(o metav1.Object) bool {
		switch o.(type) {
		case *pipelinev1.PipelineRun, *pipelinev1.TaskRun:
			return false
		}
		return true
	})
	return catalog, runs, err
}

func succeeded(o *runner.Outcome) *apis.Condition {
	if o.PipelineRun != nil {
		return o.PipelineRun.Status.GetCondition(apis.ConditionSucceeded)
	}
	for _, tr := range o.TaskRuns {
		return tr.Status.GetCondition(apis.ConditionSucceeded)
	}
	return &apis.Condition{}
}

// logs are what the steps of a run printed, the beginning of each.
func logs(dir string) string {
	var b strings.Builder
	_ = filepath.WalkDir(filepath.Join(dir, "logs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "--- %s\n%.500s\n", d.Name(), text)
		return err
	})
	return b.String()
}

// wantRefusal wants each run of a file refused with the name of one of the
// fields that need a cluster, and nothing started.
func wantRefusal(t *testing.T, e examples.Example) string {
	catalog, runs, err := load(e)
	if err != nil {
		t.Error(err)
		return ""
	}
	var fields []string
	for _, o := range runs {
		dir := t.TempDir()
		_, err := (&runner.Runner{Catalog: catalog, Dir: dir, AllowHost: true}).Run(t.Context(), o)
		if err == nil {
			t.Error("it was not refused")
			continue
		}
		named := namedField(err, e.Needs)
		if named == "" {
			t.Errorf("the refusal names none of %v: %v", e.Needs, err)
		}
		fields = append(fields, named)
		wantNothing(t, dir)
	}
	return strings.Join(slices.Compact(fields), ", ")
}

// namedField returns the field that an error names, of those given by their
// paths.
func namedField(err error, paths []string) string {
	for _, p := range paths {
		field := strings.TrimPrefix(path.Ext(p), ".")
		for line := range strings.Lines(err.Error()) {
			if before, _, _ := strings.Cut(line, ": "); strings.HasSuffix(before, "."+field) {
				return strings.TrimSpace(before)
			}
		}
	}
	return ""
}

// wantNothing wants a run's folder to hold nothing: no log, no pod.
func wantNothing(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("the refused run left %s", entry.Name())
	}
}

// wantNotAdmitted wants a file refused as Tekton's webhook refuses it.
func wantNotAdmitted(t *testing.T, e examples.Example) string {
	_, _, err := load(e)
	if err == nil {
		t.Error("it was admitted")
		return ""
	}
	if !errors.As(err, new(*apis.FieldError)) {
		t.Errorf("this is not Tekton's validation: %v", err)
	}
	first, _, _ := strings.Cut(e.Alpha, "\n")
	return first
}
