// Command tag creates the tag of a release, once everything is published.
package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/version"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	URL       string        `param:"url" desc:"Repository to tag. Empty: the checkout's origin."`
	Tag       string        `param:"tag" required:"true" desc:"Name of the tag. Example: v2.3.119"`
	Message   string        `param:"message" desc:"Message of an annotated tag. Empty: a light tag, or with signing-key the tag's name."`
	UserName  string        `param:"user-name" default:"Lockstep" desc:"Who made an annotated tag."`
	UserEmail string        `param:"user-email" default:"lockstep@lockstep.dev" desc:"Their address."`
	Timeout   time.Duration `param:"timeout" default:"5m" desc:"How long all of it may take. Example: 2m"`

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Folder of the checkout whose commit is released, the one that holds .git. A shallow one is enough."`
	git.Login
	signature.Folder

	ResultTag string `result:"tag" desc:"The tag."`
	Commit    string `result:"commit" desc:"The commit that it stands for, 40 hex digits."`
}

func main() {
	step.Main("tag", "create the tag of a release", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	key, err := c.Key()
	if err != nil {
		return err
	}
	repository, err := git.Open(c.Source)
	if err != nil {
		return err
	}
	_, commit, err := repository.Head()
	if err != nil {
		return err
	}
	remote, err := c.remote(repository)
	if err != nil {
		return err
	}
	err = version.Tag(ctx, remote, repository, commit, version.TagOptions{
		Tag: c.Tag, Message: c.Message, By: git.Signature{Name: c.UserName, Email: c.UserEmail, When: time.Now()}, Key: key,
	})
	if err != nil {
		return err
	}
	c.ResultTag, c.Commit = c.Tag, string(commit)
	slog.InfoContext(ctx, "tagged", "tag", c.Tag, "commit", commit, "remote", remote.URL())
	return nil
}

func (c *config) remote(repository *git.Repository) (*git.Remote, error) {
	if c.URL != "" {
		return git.NewRemote(c.URL, c.Access(0))
	}
	return repository.Origin(c.Access(0))
}
