// Command bench measures Lockstep side by side with what one would use
// instead, and writes the results beside itself:
//
//	go run ./bench            the benchmarks, about three quarters of an hour
//	go run ./bench --xl       one promotion on 840,000 commits, beside S; a report of its own
//	go run ./bench --quick    few runs on a tiny repository; writes nothing
//
// Fixtures are made once and kept in the user's cache.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan is how much is measured.
type plan struct {
	Conditions []condition
	Warmups    int
	Runs       int
	Crowds     []crowd
	CrowdsOn   fixture
	CrowdDelay time.Duration
	XL         bool
	OnlyViews  bool
	Quick      bool
}

// crowd is a number of writers and how often they are measured.
type crowd struct {
	Writers, Runs int
	Killed        bool
}

// results is all that the report is made of.
type results struct {
	Machine    machine
	Plan       plan
	Promotions []promotionResult
	Contention [][]contentionSeries
	Weights    []weight
	Works      []work
	Growth     []growth
	Views      *views
	Took       time.Duration
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "few runs on a tiny repository, to see that everything works; writes nothing")
	xl := flags.Bool("xl", false, "only one promotion on the repository of 840,000 commits, beside S; making it takes minutes")
	looks := flags.Bool("views", false, "only what it takes to see which version is where, in minutes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "lockstep", "bench")
	p, err := newPlan(ctx, cache, *quick, *xl)
	if err != nil {
		return err
	}
	if *looks {
		p = plan{Warmups: p.Warmups, Runs: p.Runs, OnlyViews: true}
	}
	all, err := measureAll(ctx, root, cache, p)
	if err != nil {
		return err
	}
	if *quick {
		_, err := fmt.Print(all.markdown())
		return err
	}
	return all.write(filepath.Join(root, "bench"))
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// far is the round trip for which the targets are.
const far = 50 * time.Millisecond

// newPlan makes the fixtures that it needs.
func newPlan(ctx context.Context, cache string, quick, xl bool) (plan, error) {
	fixtures := map[string]fixture{}
	names := []string{"S", "L"}
	switch {
	case quick:
		names = []string{"tiny"}
	case xl:
		names = []string{"S", "XL"}
	}
	for _, name := range names {
		start := time.Now()
		f, err := sizes[name].prepare(ctx, cache)
		if err != nil {
			return plan{}, err
		}
		slog.Info("fixture", "name", name, "commits", f.Commits, "pack", f.PackBytes, "took", time.Since(start).Round(time.Millisecond))
		fixtures[name] = f
	}
	if quick {
		return plan{
			Conditions: []condition{{fixtures["tiny"], 10 * time.Millisecond}}, Warmups: 1, Runs: 2,
			Crowds: []crowd{{2, 1, false}}, CrowdsOn: fixtures["tiny"], CrowdDelay: 10 * time.Millisecond, Quick: true,
		}, nil
	}
	p := plan{Warmups: 3, Runs: 20, XL: xl, CrowdsOn: fixtures["S"], CrowdDelay: far}
	if xl {
		p.Conditions = []condition{{fixtures["S"], far}, {fixtures["XL"], far}}
		return p, nil
	}
	p.Conditions = []condition{{fixtures["S"], 0}, {fixtures["S"], 10 * time.Millisecond}, {fixtures["S"], far}, {fixtures["L"], far}}
	p.Crowds = []crowd{{2, 20, false}, {10, 5, false}, {100, 1, false}, {100, 1, true}}
	return p, nil
}

func measureAll(ctx context.Context, root, cache string, p plan) (*results, error) {
	programs, err := os.MkdirTemp(cache, "programs-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(programs)
	steps, err := stepsOf(root, p.Quick || p.XL || p.OnlyViews)
	if err != nil {
		return nil, err
	}
	packages := []string{"./bench/measure", "./bench/gogit", "./cmd/lockstep"}
	for _, step := range steps {
		packages = append(packages, "./steps/"+step)
	}
	slog.Info("build", "programs", len(packages))
	if err := build(ctx, root, programs, packages...); err != nil {
		return nil, err
	}
	l, err := newLab(cache, programs)
	if err != nil {
		return nil, err
	}
	defer l.close()
	all := &results{Plan: p}
	if all.Machine, err = describe(ctx, root); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := all.measure(ctx, l, cache, steps); err != nil {
		return nil, err
	}
	all.Took, all.Machine.LoadAfter = time.Since(start), load()
	return all, nil
}

func (r *results) measure(ctx context.Context, l *lab, cache string, steps []string) (err error) {
	p := r.Plan
	if p.OnlyViews {
		r.Views, err = l.look(ctx, cache, p.Warmups, p.Runs)
		return err
	}
	for _, c := range p.Conditions {
		slog.Info("B1", "repository", c.Fixture.Name, "round trip", c.RoundTrip, "load", load())
		result, err := l.promotions(ctx, c, single(), p.Warmups, p.Runs)
		if err != nil {
			return err
		}
		r.Promotions = append(r.Promotions, result)
	}
	l.link.setRoundTrip(p.CrowdDelay)
	for _, c := range p.Crowds {
		contenders := many()
		if c.Killed {
			contenders = contenders[:1]
		}
		result, err := l.rushes(ctx, p.CrowdsOn, contenders, c.Writers, c.Runs, c.Killed)
		if err != nil {
			return err
		}
		r.Contention = append(r.Contention, result)
	}
	if p.XL {
		return nil
	}
	if !p.Quick {
		if r.Growth, err = l.growths(ctx, cache, p.Warmups, p.Runs); err != nil {
			return err
		}
	}
	slog.Info("B8", "steps", len(steps))
	if r.Weights, err = l.weights(ctx, steps, p.Warmups, p.Runs); err != nil {
		return err
	}
	r.Works, err = l.worksOf(ctx, p.CrowdsOn, p.Warmups, p.Runs)
	return err
}

// stepsOf are the programs of the tree; quick, only those of one promotion, since
// the others take long to build.
func stepsOf(root string, quick bool) ([]string, error) {
	if quick {
		return []string{"clone", "bump-version", "commit", "promote"}, nil
	}
	mains, err := filepath.Glob(filepath.Join(root, "steps", "*", "main.go"))
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, main := range mains {
		steps = append(steps, filepath.Base(filepath.Dir(main)))
	}
	return steps, nil
}
