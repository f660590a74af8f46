// Command next-version gives the checked-out commit its version number, for
// good: no other commit gets it.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/version"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	URL         string        `param:"url" desc:"Repository that keeps the numbers. Empty: the checkout's origin."`
	Prefix      string        `param:"prefix" default:"v" desc:"What tags have in front of the version. Example: charts/user-service/v"`
	Bump        string        `param:"bump" default:"patch" desc:"Which part the next version raises: patch, minor or major."`
	VersionFile string        `param:"version-file" desc:"File of the checkout that holds the lowest version to give; raise it for a new minor or major version. Example: VERSION"`
	Timeout     time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take. Example: 2m"`

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Folder of the checkout, the one that holds .git. A shallow one is enough."`
	git.Login

	Version  string `result:"version" desc:"The version. Example: 2.3.119"`
	Tag      string `result:"tag" desc:"The tag that stands for it, with the prefix. Example: v2.3.119"`
	Previous string `result:"previous" desc:"The highest version below it that was released, or nothing. Example: 2.3.118"`
}

func main() {
	step.Main("next-version", "reserve the next semantic version for the checked-out commit", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	repository, err := git.Open(c.Source)
	if err != nil {
		return err
	}
	_, commit, err := repository.Head()
	if err != nil {
		return err
	}
	least, err := c.atLeast()
	if err != nil {
		return err
	}
	remote, err := c.remote(repository)
	if err != nil {
		return err
	}
	number, err := version.Reserve(ctx, remote, repository, commit, version.Options{Prefix: c.Prefix, Bump: c.Bump, AtLeast: least})
	if err != nil {
		return err
	}
	c.Version, c.Tag, c.Previous = number.Version, number.Tag, number.Previous
	slog.InfoContext(ctx, "reserved", "version", c.Version, "previous", c.Previous, "commit", commit, "remote", remote.URL())
	return nil
}

// atLeast reads the version file, which may not lead out of the checkout.
func (c *config) atLeast() (string, error) {
	if c.VersionFile == "" {
		return "", nil
	}
	root, err := os.OpenRoot(c.Source)
	if err != nil {
		return "", err
	}
	defer root.Close()
	content, err := root.ReadFile(filepath.FromSlash(c.VersionFile))
	if err != nil {
		return "", fault.Usage("InvalidParameters", fmt.Errorf("read the version file: %w", err), "")
	}
	return strings.TrimSpace(string(content)), nil
}

func (c *config) remote(repository *git.Repository) (*git.Remote, error) {
	if c.URL != "" {
		return git.NewRemote(c.URL, c.Access(0))
	}
	return repository.Origin(c.Access(0))
}
