//go:build e2e

// Package conformance runs the same Pipelines and Tasks in the runner of this
// machine and on the real cluster of test/cluster, and wants both to leave the
// same states, results, skipped tasks and order. `make e2e` runs it with a part
// of Tekton's examples, `make conformance` with all of them.
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

// chosen are ours and as many of Tekton's, at random, as CONFORMANCE says: a
// number or "all"; or those of both whose name holds a text. Pods take their
// time: all of them are twenty minutes of a cluster on two cores.
func chosen(t *testing.T, own, cases []testCase) []testCase {
	wish := cmp.Or(os.Getenv("CONFORMANCE"), "20")
	if wish == "all" {
		return append(own, cases...)
	}
	n, err := strconv.Atoi(wish)
	if err != nil {
		return slices.DeleteFunc(append(own, cases...), func(c testCase) bool { return !strings.Contains(c.name, wish) })
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CONFORMANCE_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CONFORMANCE_SEED=%s: %v", s, err)
		}
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
		cases = append(cases, testCase{"own/" + filepath.Base(path), path})
	}
	return cases
}

// compare runs a case on both sides.
func compare(t *testing.T, c *cluster, tc testCase, number int, searchPath string) verdict {
	v := verdict{testCase: tc}
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	begin := time.Now()
	here, err := runHere(ctx, tc, t.TempDir(), searchPath)
	v.here = time.Since(begin)
	if err != nil {
		v.err = fmt.Errorf("in the runner: %w", err)
		return v
	}
	begin = time.Now()
	there, err := c.run(ctx, tc, number)
	v.there = time.Since(begin)
	if err != nil {
		v.err = fmt.Errorf("on the cluster: %w", err)
		return v
	}
	v.fields = len(there)
	v.differences = diff(here, there)
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

// report prints the table and fails the test for what is in no list.
func report(t *testing.T, verdicts []verdict) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tfields\tdifferent\there\tcluster")
	agree, used := 0, map[string]bool{}
	for _, v := range verdicts {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f s\t%.0f s\n", v.name, v.fields, len(v.differences), v.here.Seconds(), v.there.Seconds())
		if v.err != nil {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(v.err.Error(), "\n", " "))
			t.Errorf("%s: %v", v.name, v.err)
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
				t.Errorf("%s: %s: here %s, cluster %s", v.name, d.field, d.here, d.there)
			} else {
				fmt.Fprintf(w, "  (%s)\n", reason)
			}
		}
	}
	_ = w.Flush()
	t.Logf("the runner beside the cluster:\n%s", b.String())
	t.Logf("%d of %d cases agree in every field: %.1f %%", agree, len(verdicts), 100*float64(agree)/float64(len(verdicts)))
	for _, e := range exceptions {
		if !used[e.name+e.field] && os.Getenv("CONFORMANCE") == "all" {
			t.Errorf("the exception %s: %s is no longer needed", e.name, e.field)
		}
	}
}
