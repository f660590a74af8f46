package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/local"
	"github.com/lockstep-cd/lockstep/internal/runner"
	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// atOnce is how many runs are under way at the same time; more wait.
const atOnce = 4

// hub connects the local servers with the runner: it starts what the Triggers
// of a namespace make of a webhook.
type hub struct {
	objects  namespaces
	template *runner.Runner // its settings are those of every run
	log      *slog.Logger

	runs  context.Context // ends when the servers stop
	slots chan struct{}
	group sync.WaitGroup
}

// localServe is the background program of `lockstep local up`.
func localServe(c *cli.Context) error {
	r, err := runnerOf(c, ".")
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, nil))
	h := &hub{objects: objects(), template: r, log: log, runs: c.Context, slots: make(chan struct{}, atOnce)}
	server, err := local.Open(serversFolder(), local.Options{Receive: h.receive, Log: log})
	if err != nil {
		return err
	}
	l, err := local.Listen(c.String("address"))
	if err != nil {
		return err
	}
	err = server.Serve(c.Context, l)
	h.group.Wait() // the runs end with the same context, in order
	return err
}

// receive answers a webhook: it says which runs it starts, and does not wait
// for them. A run that is there already was started by the same webhook before.
func (h *hub) receive(ctx context.Context, call local.Call) (any, error) {
	listener, err := h.objects.listener()
	if err != nil {
		return nil, err
	}
	result, err := listener.Receive(ctx, call.Name, webhook.Request{Header: call.Header, Body: call.Body, URL: call.URL})
	if err != nil {
		return nil, err
	}
	for _, resource := range result.Resources {
		if err := h.start(resource); err != nil && !errors.Is(err, runner.ErrTaken) {
			return nil, err
		}
	}
	return result, result.Refused()
}

// start begins a run, so that it is kept before the webhook is answered.
func (h *hub) start(resource webhook.Resource) error {
	catalog, err := h.objects.catalog(resource.Namespace)
	if err != nil {
		return err
	}
	found, err := catalog.Add("trigger "+resource.Trigger, resource.Object)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fault.Refused("NotSupportedHere", fmt.Errorf("trigger %s makes a %s %s, which is not run here", resource.Trigger, resource.APIVersion, resource.Kind), "")
	}
	o := found[0]
	runner.Identify(o, "")
	kept, err := store().Begin(o, "trigger "+resource.Namespace+"/"+resource.Trigger)
	if err != nil {
		return err
	}
	r := *h.template
	r.Catalog, r.Dir, r.Watch = catalog, kept.Dir, kept.Hear
	h.group.Go(func() { h.run(&r, o, kept) })
	return nil
}

func (h *hub) run(r *runner.Runner, o object, kept *runner.Kept) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-h.runs.Done():
	}
	h.log.Info("run starts", "run", kept.Name, "namespace", kept.Namespace)
	outcome, err := r.Run(h.runs, o)
	if err != nil {
		h.log.Error("run refused", "run", kept.Name, "error", err)
		outcome = runner.Refused(o, err)
	}
	if err := kept.End(outcome); err != nil {
		h.log.Error("run not kept", "run", kept.Name, "error", err)
	}
	h.log.Info("run ended", "run", kept.Name, "state", kept.State, "reason", kept.Reason)
}

// runnerFlags are those that decide how steps run, the same for a run and for
// the servers.
func runnerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, KeepSpace: true, Usage: "`NAME[=VALUE]` for the environment of every step; without a value, this one's"},
		&cli.StringFlag{Name: "kubeconfig", Usage: "`FILE` that tells steps how to reach a cluster"},
		&cli.StringFlag{Name: "credentials", Usage: "`FOLDER` with .git-credentials, .gitconfig and .ssh, as Tekton lays them out for steps"},
		&cli.BoolFlag{Name: "allow-host", Usage: "without podman or docker, run the commands of other images on this machine, with your rights"},
		&cli.StringFlag{Name: "engine", Value: "auto", Usage: "what runs other images: auto, none, or the `PROGRAM` podman or docker"},
	}
}

// runnerArgs hands the flags of `local up` on to the background program. Its
// environment has the values of variables that are named only.
func runnerArgs(c *cli.Context) []string {
	args := []string{"--engine", c.String("engine"), "--credentials", c.String("credentials")}
	if c.Bool("allow-host") {
		args = append(args, "--allow-host")
	}
	for _, item := range c.StringSlice("env") {
		args = append(args, "--env", item)
	}
	return args
}

// runnerOf is a Runner with what the flags say; path is where programs are
// built from.
func runnerOf(c *cli.Context, path string) (*runner.Runner, error) {
	r := &runner.Runner{AllowHost: c.Bool("allow-host"), Credentials: c.String("credentials"), Stderr: c.App.ErrWriter, Programs: programs(path)}
	var err error
	if r.Environment, err = variables(c); err != nil {
		return nil, err
	}
	r.Engine, err = engine(c.String("engine"))
	return r, err
}
