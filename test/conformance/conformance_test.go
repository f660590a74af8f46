//go:build e2e

// Package conformance runs the same Pipelines and Tasks in the runner of this
// machine and on the real cluster of test/cluster, and wants both to leave the
// same states, results, skipped tasks and order. `make e2e` runs it with our own
// cases, `make conformance` with all of Tekton's examples as well.
package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/lockstep-cd/lockstep/internal/runner"
	"github.com/lockstep-cd/lockstep/test/examples"
)

// atOnce bounds the cases that are under way on the cluster: it has two cores.
const atOnce = 4

// caseLimit is far above what one case takes.
const caseLimit = 10 * time.Minute

// slowness is by how much a cluster whose two cores run several pods at once may
// be slower than the one for which Tekton's examples have their timeouts.
const slowness = 10

// ownPrefix is in front of the names of our own cases.
const ownPrefix = "own/"

// testCase is one file of runs.
type testCase struct {
	name string // as the table and the exceptions have it
	path string
}

// verdict is what came of a case.
type verdict struct {
	testCase
	fields      int // that were compared
	differences []difference
	err         error
	here, there time.Duration
}

func TestRunnerAndClusterAgree(t *testing.T) {
	searchPath, err := examples.SearchPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cases := chosen(t, ownCases(t), tektonsCases(t, searchPath))
	c := newCluster(t, cases)
	verdicts := make([]verdict, len(cases))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range cases {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			verdicts[i] = compare(t, c, cases[i], i, searchPath)
		})
	}
	all.Wait()
	report(t, verdicts)
}

// chosen are ours and as many of Tekton's as CONFORMANCE says: a number or
// "all"; or those of both whose name holds a text. Pods take their time: all of
// them are twenty minutes of a cluster on two cores. A number always means the
// same ones, unless CONFORMANCE_SEED asks for others.
func chosen(t *testing.T, own, cases []testCase) []testCase {
	wish := cmp.Or(os.Getenv("CONFORMANCE"), "20")
	if wish == "all" {
		return append(own, cases...)
	}
	n, err := strconv.Atoi(wish)
	if err != nil {
		return slices.DeleteFunc(append(own, cases...), func(c testCase) bool { return !strings.Contains(c.name, wish) })
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("CONFORMANCE_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatalf("CONFORMANCE_SEED: %v", err)
	}
	t.Logf("CONFORMANCE=%d CONFORMANCE_SEED=%d", n, seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	return append(own, cases[:min(n, len(cases))]...)
}

// tektonsCases are Tekton's examples that the runner is asked to run.
func tektonsCases(t *testing.T, searchPath string) []testCase {
	list, err := examples.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for _, e := range list {
		tc := testCase{"examples/" + e.Name, e.Path}
		switch {
		case !e.Eligible():
		case e.Lacks(searchPath) != "":
			t.Logf("%s is left out: %s", tc.name, e.Lacks(searchPath))
		case otherCluster[tc.name] != "":
			t.Logf("%s is left out: it needs %s", tc.name, otherCluster[tc.name])
		default:
			cases = append(cases, tc)
		}
	}
	return cases
}

// ownCases are those in testdata.
func ownCases(t *testing.T) []testCase {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal(len(paths), err)
	}
	var cases []testCase
	for _, path := range paths {
		cases = append(cases, testCase{ownPrefix + filepath.Base(path), path})
	}
	return cases
}

// compare runs a case on both sides at once.
func compare(t *testing.T, c *cluster, tc testCase, number int, searchPath string) verdict {
	v := verdict{testCase: tc}
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	var here, there view
	var errHere, errThere error
	var both sync.WaitGroup
	begin := time.Now()
	both.Go(func() {
		if here, errHere = runHere(ctx, tc, t.TempDir(), searchPath); errHere != nil {
			errHere = fmt.Errorf("in the runner: %w", errHere)
		}
		v.here = time.Since(begin)
	})
	both.Go(func() {
		if there, errThere = c.run(ctx, tc, number); errThere != nil {
			errThere = fmt.Errorf("on the cluster: %w", errThere)
		}
		v.there = time.Since(begin)
	})
	both.Wait()
	if v.err = errors.Join(errHere, errThere); v.err == nil {
		v.fields, v.differences = len(there), diff(here, there)
	}
	return v
}

// runHere runs the runs of a file in the runner, at once.
func runHere(ctx context.Context, tc testCase, dir, searchPath string) (view, error) {
	catalog := runner.NewCatalog()
	objects, err := catalog.AddFile(tc.path)
	if err != nil {
		return nil, err
	}
	all, runs := view{}, runsOf(objects)
	views, errs := make([]view, len(runs)), make([]error, len(runs))
	var wait sync.WaitGroup
	for i, o := range runs {
		name(o, i)
		wait.Go(func() {
			own := filepath.Join(dir, o.GetName())
			if errs[i] = os.Mkdir(own, 0o755); errs[i] != nil {
				return
			}
			r := &runner.Runner{Catalog: catalog, Dir: own, AllowHost: true, Environment: []string{"PATH=" + searchPath}}
			var outcome *runner.Outcome
			if outcome, errs[i] = r.Run(ctx, o); errs[i] == nil {
				views[i] = viewOf(outcome.PipelineRun, outcome.TaskRuns, runner.Namespace)
			}
		})
	}
	wait.Wait()
	for _, v := range views {
		maps.Copy(all, v)
	}
	return all, errors.Join(errs...)
}

// report prints the table and fails the test for what is in no list; that comes
// last, where whoever looks at the end of a log finds it.
func report(t *testing.T, verdicts []verdict) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tfields\tdifferent\there\tcluster")
	agree, used := 0, map[string]bool{}
	var unexpected []string
	for _, v := range verdicts {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f s\t%.0f s\n", v.name, v.fields, len(v.differences), v.here.Seconds(), v.there.Seconds())
		if v.err != nil {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(v.err.Error(), "\n", " "))
			unexpected = append(unexpected, fmt.Sprintf("%s: %v", v.name, v.err))
			continue
		}
		if len(v.differences) == 0 {
			agree++
		}
		for _, d := range v.differences {
			reason := accepted(v.name, d, used)
			fmt.Fprintf(w, "  %s: here %s, cluster %s", d.field, d.here, d.there)
			if reason == "" {
				fmt.Fprintln(w, "  UNEXPECTED")
				unexpected = append(unexpected, fmt.Sprintf("%s: %s: here %s, cluster %s", v.name, d.field, d.here, d.there))
			} else {
				fmt.Fprintf(w, "  (%s)\n", reason)
			}
		}
	}
	_ = w.Flush()
	t.Logf("the runner beside the cluster:\n%s", b.String())
	t.Logf("%d of %d cases agree in every field: %.1f %%", agree, len(verdicts), 100*float64(agree)/float64(len(verdicts)))
	for _, u := range unexpected {
		t.Error(u)
	}
	for _, e := range exceptions {
		if !used[e.name+e.field] && !e.sometimes && os.Getenv("CONFORMANCE") == "all" {
			t.Errorf("the exception %s: %s is no longer needed", e.name, e.field)
		}
	}
}
