// Package site sets Lockstep up as a team would: programs and pipelines, two
// applications, environments, their repositories, webhooks and secrets. A Site
// stands on the cluster of test/cluster, a Local on this machine without one.
// The demonstration and the end-to-end tests stand on them. Everything in it
// may run twice.
package site

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// Site is a cluster and the names that this package uses in it.
type Site struct {
	team
	GoImage string // image with the Go toolchain
	Gitea   *Gitea
}

// Images that a site uses where nobody names others.
const (
	staticImage = "gcr.io/distroless/static-debian12:nonroot"
	goImage     = "docker.io/library/golang:1.26"
)

// New reads where things are from the variables that `test/cluster env` prints,
// or those that docs/demo.md asks for.
func New(root string, log func(string, ...any)) (*Site, error) {
	t, err := newTeam(root, log)
	if err != nil {
		return nil, err
	}
	var missing []string
	get := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			missing = append(missing, name)
		}
		return value
	}
	gitea := &Gitea{
		URL: get("LOCKSTEP_GITEA_URL"), User: get("LOCKSTEP_GITEA_USER"), passwordFile: get("LOCKSTEP_GITEA_PASSWORD_FILE"),
	}
	s := &Site{team: t, Gitea: gitea}
	s.git, s.Registry = gitea, get("LOCKSTEP_REGISTRY_IN_CLUSTER")
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s not set: docs/demo.md says what they are; the cluster made here sets them: make demo CLUSTER=full", strings.Join(missing, ", "))
	}
	s.StaticBase = s.known(cmp.Or(os.Getenv("LOCKSTEP_IMAGE_STATIC"), staticImage))
	s.GoImage = s.known(cmp.Or(os.Getenv("LOCKSTEP_IMAGE_GO"), goImage))
	return s, nil
}

// known is an image under the registry's name that everybody knows: those that
// test/cluster made bear the name that only this machine has for it.
func (s *Site) known(image string) string {
	if path, ok := strings.CutPrefix(image, os.Getenv("LOCKSTEP_REGISTRY")+"/"); ok {
		return s.Registry + "/" + path
	}
	return image
}

// suitable fails unless the cluster is there and has what Lockstep stands on.
func (s *Site) suitable(ctx context.Context) error {
	for resource, product := range map[string]string{
		"pipelineruns.tekton.dev": "Tekton Pipelines", "eventlisteners.triggers.tekton.dev": "Tekton Triggers",
	} {
		found, err := s.Kubectl(ctx, "get", "crd", resource, "--ignore-not-found", "-o", "name")
		if err != nil {
			return fmt.Errorf("look for %s: %w", product, err)
		}
		if found == "" {
			return fmt.Errorf("the cluster that kubectl talks to has no %s: see docs/install.md", product)
		}
	}
	return nil
}

// command runs a program and returns its standard output; its error holds what
// the program said, unless that was told already.
type command struct {
	dir   string
	env   []string
	stdin string
	// tell hears each line that the program says on its standard error.
	tell func(format string, args ...any)
}

func (c command) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.tell != nil {
		cmd.Stderr = io.MultiWriter(&stderr, &progress{tell: c.tell})
	}
	// A program that left children behind must not keep us waiting for its pipes.
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err != nil && c.tell != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w; why stands above", name, strings.Join(args, " "), err)
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// progress tells whole lines, without the time that test/cluster puts in front.
type progress struct {
	tell func(format string, args ...any)
	rest []byte
}

var elapsed = regexp.MustCompile(`^\s*[\d.]+s\s+`)

func (p *progress) Write(text []byte) (int, error) {
	p.rest = append(p.rest, text...)
	for {
		line, rest, whole := bytes.Cut(p.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		p.rest = rest
		if line = elapsed.ReplaceAll(line, nil); len(line) > 0 {
			p.tell("%s", line)
		}
	}
}

// Until calls done until it says so, every interval, and fails with what it
// waited for and done's last error when ctx ends.
func Until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	const interval = 500 * time.Millisecond
	var last error
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %v)", what, context.Cause(ctx), last)
		case <-time.After(interval):
		}
	}
}
