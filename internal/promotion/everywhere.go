package promotion

import (
	"context"
	"fmt"
	"sync"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// atOnce bounds how many environments are promoted at the same time.
const atOnce = 16

// Everywhere promotes into several environments at the same time, whose gates
// are asked first. Each has its Result, in their order; one that fails keeps no
// other from being promoted, and a repetition does only what is missing.
type Everywhere struct {
	Promotion
	// Known are all environments of the file: gates look at others than those
	// that are promoted.
	Known *environment.Environments
	// Open reaches a repository.
	Open func(url string) (*git.Remote, error)
	// Tell hears of each result as it comes, from several goroutines. It may be nil.
	Tell func(Result)

	// read has what the chosen environments are after, each read once and only
	// when a gate asks.
	read map[string]func() upstream
}

// Promote promotes into the chosen environments.
func (e Everywhere) Promote(ctx context.Context, chosen []environment.Environment) []Result {
	e.read = map[string]func() upstream{}
	for _, env := range chosen {
		for _, name := range env.After {
			e.read[name] = sync.OnceValue(func() upstream { return e.upstream(ctx, name) })
		}
	}
	results := make([]Result, len(chosen))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, env := range chosen {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i] = e.one(ctx, env)
			if e.Tell != nil {
				e.Tell(results[i])
			}
		})
	}
	all.Wait()
	return results
}

func (e Everywhere) one(ctx context.Context, env environment.Environment) Result {
	r := Result{Environment: env.Name}
	if env.Delivery != environment.ByCommit {
		return r.failed(fault.Refused("DeliveryNotSupported", fmt.Errorf("%s takes promotions by %s, which is not done yet", env.Name, env.Delivery), ""))
	}
	remote, err := e.Open(env.Repository)
	if err != nil {
		return r.failed(err)
	}
	target := Target{Environment: env.Name, Remote: remote, Branch: env.Branch, Path: env.Path}
	decision, err := e.decide(ctx, env, target)
	if err != nil {
		return r.failed(err)
	}
	if !decision.Open() {
		r.Outcome, r.Reason = Waiting, decision.Reason()
		if err := e.Wait(ctx, target, decision); err != nil {
			return r.failed(err)
		}
		return r
	}
	landed, err := e.Into(ctx, target)
	if err != nil {
		return r.failed(err)
	}
	r.Outcome, r.Commit = landed.Outcome, landed.Commit
	return r
}
