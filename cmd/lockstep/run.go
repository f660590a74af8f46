package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/runner"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a Pipeline, Task or StepAction on this machine",
		UsageText: "lockstep run [flags] PATH [NAME]\nlockstep run pipelines/environment -p url=https://git.example.com/acme/staging.git -w source=./work",
		Description: "PATH is a file or folder of Tekton YAML; NAME says which object of it is meant, where there are several. What it refers to by name is looked for in " +
			"tasks/, pipelines/ and steps/ around it. Steps with a ko:// image are built from source and run as programs; others run in podman or docker.",
		Flags: append(runnerFlags(),
			&cli.StringSliceFlag{Name: "param", Aliases: []string{"p"}, KeepSpace: true, Usage: "`NAME=VALUE` of a parameter; items of an array, or key=value of an object, one per line or as JSON"},
			&cli.StringSliceFlag{Name: "workspace", Aliases: []string{"w"}, KeepSpace: true, Usage: "`NAME=FOLDER` that a workspace is; without it, an empty one"},
			&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, KeepSpace: true, Usage: "further `FILE` of YAML with Tasks, StepActions, ConfigMaps or Secrets"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the run; without it, one is made"},
			outputFlag(),
			&cli.BoolFlag{Name: "logs", Aliases: []string{"l"}, Usage: "print what each step prints, as it ends"},
		),
		Action:       runAction,
		OnUsageError: usageError,
	}
}

func runAction(c *cli.Context) error {
	if n := c.NArg(); n < 1 || n > 2 {
		return fault.Usage("InvalidArguments", fmt.Errorf("run takes PATH [NAME], not %d arguments", n), "lockstep run --help")
	}
	path := c.Args().First()
	r, o, err := prepare(c, path)
	if err != nil {
		return err
	}
	runner.Identify(o, c.String("name"))
	kept, err := store().Begin(o, path)
	if err != nil {
		return err
	}
	r.Dir = kept.Dir
	s := newScreen(c.App.ErrWriter, kept.Name, c.Bool("logs"))
	r.Watch = func(e runner.Event) { kept.Hear(e); s.hear(e) }
	outcome, err := r.Run(c.Context, o)
	s.close()
	if keepErr := kept.End(outcome); err == nil {
		err = keepErr
	}
	if err != nil {
		return err
	}
	if err := report(c.App.Writer, s, kept.Record, asJSON(c)); err != nil {
		return err
	}
	if !outcome.Well() {
		return &ended{1}
	}
	return nil
}

// prepare reads everything that the command line names.
func prepare(c *cli.Context, path string) (*runner.Runner, object, error) {
	catalog := runner.NewCatalog()
	o, err := catalog.Find(path, c.Args().Get(1), c.StringSlice("file")...)
	if err != nil {
		return nil, nil, err
	}
	params, err := pairs("param", c.StringSlice("param"))
	if err != nil {
		return nil, nil, err
	}
	folders, err := pairs("workspace", c.StringSlice("workspace"))
	if err != nil {
		return nil, nil, err
	}
	q := runner.Request{Params: params}
	for name, folder := range folders {
		if folders[name], err = filepath.Abs(folder); err != nil {
			return nil, nil, err
		}
		q.Workspaces = append(q.Workspaces, name)
	}
	if o, err = runner.Runnable(o, q); err != nil {
		return nil, nil, err
	}
	r, err := runnerOf(c, path)
	if err != nil {
		return nil, nil, err
	}
	r.Catalog, r.Folders = catalog, folders
	return r, o, nil
}

func engine(name string) (*runner.Engine, error) {
	switch name {
	case "auto":
		return runner.FindEngine("podman", "docker"), nil
	case "none":
		return nil, nil
	}
	e := runner.FindEngine(name)
	if e == nil {
		return nil, fault.Usage("EngineNotFound", fmt.Errorf("--engine: %s does not answer", name), "install it, start its service, or leave --engine out")
	}
	return e, nil
}

// programs builds from the module around the YAML, or around this folder.
func programs(path string) *runner.Programs {
	module := runner.ModuleAround(path)
	if module == "" {
		if module = runner.ModuleAround("."); module == "" {
			return nil
		}
	}
	sum := sha256.Sum256([]byte(module))
	return &runner.Programs{Module: module, Bin: filepath.Join(cacheFolder(), "steps", hex.EncodeToString(sum[:6]))}
}

func variables(c *cli.Context) ([]string, error) {
	var list []string
	for _, item := range c.StringSlice("env") {
		name, _, given := strings.Cut(item, "=")
		if name == "" {
			return nil, fault.Usage("InvalidArguments", fmt.Errorf("--env: %q is not NAME or NAME=VALUE", item), "")
		}
		if !given {
			value, ok := os.LookupEnv(name)
			if !ok {
				continue
			}
			item = name + "=" + value
		}
		list = append(list, item)
	}
	if file := c.String("kubeconfig"); file != "" {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fault.Usage("FileNotRead", fmt.Errorf("--kubeconfig: %w", err), "")
		}
		list = append(list, "KUBECONFIG="+path)
	}
	return list, nil
}

// pairs reads NAME=VALUE flags; a name given twice is refused.
func pairs(flag string, items []string) (map[string]string, error) {
	m := map[string]string{}
	for _, item := range items {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fault.Usage("InvalidArguments", fmt.Errorf("--%s: %q is not NAME=VALUE", flag, item), "")
		}
		if _, twice := m[name]; twice {
			return nil, fault.Usage("InvalidArguments", fmt.Errorf("--%s: %s is given twice", flag, name), "")
		}
		m[name] = value
	}
	return m, nil
}

// report prints how the run ended.
func report(w io.Writer, s *screen, r runner.Record, forPrograms bool) error {
	if forPrograms {
		return printJSON(w, r)
	}
	s.summary(r)
	for _, result := range r.Results() {
		if _, err := fmt.Fprintf(w, "%s=%s\n", result.Name, result.Value); err != nil {
			return err
		}
	}
	return nil
}
