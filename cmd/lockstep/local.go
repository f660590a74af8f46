package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/local"
)

// defaultPort of the local servers.
const defaultPort = 7480

func localCommand() *cli.Command {
	return &cli.Command{
		Name:  "local",
		Usage: "a Git host, a registry, webhooks and a control plane on this machine",
		Description: "A push to a repository here sends a webhook, the Triggers of its namespace decide what runs, and the pipelines run on this machine. " +
			"The control plane's nodes are simulated: objects are admitted and scheduled, no container is executed.",
		OnUsageError: usageError,
		Subcommands: []*cli.Command{
			{
				Name: "up", Usage: "start what is not running", Action: localUp, OnUsageError: usageError,
				Flags: append(runnerFlags(),
					&cli.IntFlag{Name: "port", Value: defaultPort, EnvVars: []string{"LOCKSTEP_LOCAL_PORT"}, Usage: "`PORT` of Git, registry and webhooks"},
					&cli.BoolFlag{Name: "no-cluster", Usage: "without a control plane"}),
			},
			{Name: "down", Usage: "stop it; what is in it stays", Action: localDown, OnUsageError: usageError,
				Flags: []cli.Flag{&cli.BoolFlag{Name: "clean", Usage: "remove repositories, images and settings too"}}},
			{Name: "status", Usage: "where everything is", Action: localStatus, Flags: []cli.Flag{outputFlag()}, OnUsageError: usageError},
			{Name: "apply", Usage: "put Tasks, Pipelines, Triggers and Secrets into a namespace", ArgsUsage: "FILE …", Action: localApply, OnUsageError: usageError,
				Flags: []cli.Flag{&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "`NAME` of the namespace"}}},
			{Name: "create", Usage: "create a Git repository", ArgsUsage: "OWNER/NAME", Action: localCreate, OnUsageError: usageError,
				Flags: []cli.Flag{&cli.StringFlag{Name: "webhook", Usage: "`NAMESPACE` that hears of pushes, signed with the key secret of its Secret lockstep-webhook"}}},
			{Name: "serve", Hidden: true, Usage: "what up starts", Action: localServe, Flags: append(runnerFlags(), &cli.StringFlag{Name: "address"}), OnUsageError: usageError},
		},
	}
}

func localFolder() string     { return filepath.Join(stateFolder(), "local") }
func serversFolder() string   { return filepath.Join(localFolder(), "servers") }
func objects() namespaces     { return namespaces{filepath.Join(localFolder(), "namespaces")} }
func settingsFile() string    { return filepath.Join(localFolder(), "cluster.json") }
func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func localUp(c *cli.Context) error {
	if c.Args().Present() {
		return fault.Usage("InvalidArguments", fmt.Errorf("up takes no %q", c.Args().First()), "")
	}
	// What serve will say about its flags is better said here.
	if _, err := runnerOf(c, "."); err != nil {
		return err
	}
	kubeconfig := c.String("kubeconfig")
	if kubeconfig == "" && !c.Bool("no-cluster") {
		path, err := startCluster(c.Context, c.App.ErrWriter)
		if err != nil {
			return err
		}
		kubeconfig = path
	}
	at := address(c.Int("port"))
	args := append([]string{"local", "serve", "--address", at}, runnerArgs(c)...)
	if kubeconfig != "" {
		args = append(args, "--kubeconfig", kubeconfig)
	}
	i, err := local.Start(c.Context, local.Background{Dir: serversFolder(), Args: args, Env: os.Environ(), Address: at})
	if err != nil {
		return err
	}
	if i.Already {
		fmt.Fprintln(c.App.ErrWriter, "the servers run already, with the settings of their start; lockstep local down stops them")
	}
	return showStatus(c, i)
}

func localDown(c *cli.Context) error {
	stopped, err := local.Stop(c.Context, serversFolder())
	if err != nil {
		return err
	}
	if stopped {
		fmt.Fprintln(c.App.ErrWriter, "stopped Git, registry and webhooks")
	}
	if err := stopCluster(c.Context, c.App.ErrWriter); err != nil {
		return err
	}
	if c.Bool("clean") {
		return os.RemoveAll(localFolder())
	}
	return nil
}

func localStatus(c *cli.Context) error {
	i, err := local.Running(serversFolder())
	if err != nil {
		return err
	}
	if i == nil {
		fmt.Fprintln(c.App.ErrWriter, "nothing runs; lockstep local up starts it")
		return &ended{1}
	}
	return showStatus(c, i)
}

// place is where everything is, for people and programs.
type place struct {
	local.Status
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Log        string `json:"log"`
}

// statusTimeout bounds the question to servers on this machine.
const statusTimeout = 10 * time.Second

func askStatus(ctx context.Context, address string, within time.Duration) (local.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return local.Status{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return local.Status{}, err
	}
	defer resp.Body.Close()
	var status local.Status
	err = json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&status)
	return status, err
}

func showStatus(c *cli.Context, i *local.Instance) error {
	status, err := askStatus(c.Context, i.Address, statusTimeout)
	if err != nil {
		return fault.Retryable("ServersSilent", fmt.Errorf("ask the servers at %s: %w", i.Address, err), "See "+i.Log+"; lockstep local down stops them.")
	}
	p := place{Status: status, Kubeconfig: clusterSettings().Kubeconfig, Log: i.Log}
	if asJSON(c) {
		return printJSON(c.App.Writer, p)
	}
	w := c.App.Writer
	fmt.Fprintf(w, "Git         %s/<owner>/<name>.git\nregistry    %s\nwebhooks    %s/<namespace>\nlog         %s\n", p.Git, p.Registry, p.Hooks, p.Log)
	if p.Kubeconfig != "" {
		fmt.Fprintf(w, "kubeconfig  %s (simulated nodes: no container is executed)\n", p.Kubeconfig)
	}
	for _, r := range p.Repositories {
		fmt.Fprintf(w, "repository  %s\n", r.CloneURL)
	}
	return nil
}

func localApply(c *cli.Context) error {
	if !c.Args().Present() {
		return fault.Usage("InvalidArguments", errors.New("apply takes FILE …"), "- reads standard input")
	}
	if c.String("namespace") == "" {
		return fault.Usage("InvalidArguments", errors.New("apply needs --namespace"), "Example: lockstep local apply --namespace acme-applications pipelines/triggers/webhook.yaml")
	}
	for _, file := range c.Args().Slice() {
		text, name, err := readAny(file)
		if err != nil {
			return err
		}
		kept, err := objects().apply(c.String("namespace"), name, text)
		for _, object := range kept {
			fmt.Fprintf(c.App.Writer, "%s applied to %s\n", object, c.String("namespace"))
		}
		if err != nil {
			return err
		}
	}
	// Better heard of now than at the first push; what is missing may still come.
	if _, err := objects().listener(); err != nil {
		fmt.Fprintf(c.App.ErrWriter, "not ready for webhooks: %s\n", err)
	}
	return nil
}

func readAny(file string) (text []byte, name string, err error) {
	if file == "-" {
		text, err = io.ReadAll(os.Stdin)
		return text, "stdin.yaml", err
	}
	if text, err = os.ReadFile(file); err != nil {
		return nil, "", fault.Usage("FileNotRead", err, "")
	}
	return text, filepath.Base(file), nil
}

func localCreate(c *cli.Context) error {
	if c.NArg() != 1 {
		return fault.Usage("InvalidArguments", fmt.Errorf("create takes OWNER/NAME"), "")
	}
	repositories, err := local.OpenRepositories(serversFolder())
	if err != nil {
		return err
	}
	defer repositories.Close()
	name := c.Args().First()
	if err := repositories.Create(c.Context, name); err != nil {
		return err
	}
	if namespace := c.String("webhook"); namespace != "" {
		secret, err := objects().secret(namespace, "lockstep-webhook", "secret")
		if err != nil {
			return err
		}
		if err := repositories.SetWebhooks(name, local.Webhook{URL: "/hooks/" + namespace, Secret: secret}); err != nil {
			return err
		}
	}
	if i, err := local.Running(serversFolder()); err == nil && i != nil {
		fmt.Fprintf(c.App.Writer, "http://%s/git/%s.git\n", i.Address, name)
	}
	return nil
}
