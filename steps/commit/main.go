// Command commit commits what changed in a checkout and pushes it. When the
// push loses a race, noted intents are replayed on the new tip.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	Message        string        `param:"message" desc:"Subject and body of the commit. Empty: written from what was promoted. Example: chore: promote user-service to version 2.3.119"`
	Changelog      string        `param:"changelog" desc:"Subjects of the application's commits, one per line; the first 20 go into the message."`
	Trailers       []string      `param:"trailers" desc:"Trailers of the commit, one per line; one without a value is left out. Example: Lockstep-Environment: staging"`
	Branch         string        `param:"branch" desc:"Branch to push to. Empty: the one that is checked out, else the remote's default. Example: main"`
	URL            string        `param:"url" desc:"Repository to push to. Empty: where the checkout came from. Example: https://git.example.com/acme/environment-staging"`
	AuthorName     string        `param:"author-name" default:"Lockstep" desc:"Name of the commit's author."`
	AuthorEmail    string        `param:"author-email" default:"lockstep@lockstep.dev" desc:"E-mail of the commit's author."`
	CommitterName  string        `param:"committer-name" desc:"Name of the committer. Empty: the author's."`
	CommitterEmail string        `param:"committer-email" desc:"E-mail of the committer. Empty: the author's."`
	Timeout        time.Duration `param:"timeout" default:"2m" desc:"How long to go on when others push to the branch at the same time. Example: 5m"`

	git.Login
	signature.Folder

	Source string `workspace:"source" required:"true" checkout:"true" desc:"Folder of the checkout, the one that holds .git."`

	Commit  string `result:"commit" desc:"The 40-hex commit: the new one, or the tip at which nothing was left to do."`
	Changed string `result:"changed" desc:"true when a commit was pushed, else false."`
	Outcome string `result:"outcome" desc:"promoted; unchanged: nothing to commit; superseded: the branch has a higher version; waiting: it is held."`
}

func main() {
	step.Main("commit", "commit what changed and push it, whoever else pushes", run)
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
	head, base, err := repository.Head()
	if err != nil {
		return noCommit(err)
	}
	change, err := pending(ctx, repository, base)
	if err != nil {
		return err
	}
	if len(change.Plain) == 0 && len(change.Intents) == 0 {
		return c.finish(ctx, promotion.Landed{Commit: base, Outcome: promotion.Unchanged})
	}
	landing, err := c.landing(ctx, repository, head, change)
	if err != nil {
		return err
	}
	landing.Key = key
	landed, err := promotion.Land(ctx, landing)
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable("Timeout", err, "Nothing is half done. Try again, or raise timeout.")
	}
	if err != nil {
		return err
	}
	if err := settle(repository, head, landing.Branch, landed.Commit); err != nil {
		return err
	}
	return c.finish(ctx, landed)
}

func noCommit(err error) error {
	if errors.Is(err, git.ErrNotFound) {
		return fault.Refused("EmptyRepository", fmt.Errorf("the checkout has no commit to build on: %w", err),
			"Push a first commit to the repository and clone it again.")
	}
	return err
}

// pending is what the checkout has that its HEAD has not.
func pending(ctx context.Context, repository *git.Repository, base git.Hash) (promotion.Change, error) {
	intents, err := promotion.Read(repository)
	if err != nil {
		return promotion.Change{}, err
	}
	files, err := repository.Changes()
	if err != nil {
		return promotion.Change{}, fmt.Errorf("look for changes: %w", err)
	}
	return promotion.Split(ctx, promotion.CommitTree(repository, base), base, files, intents)
}

func (c *config) landing(ctx context.Context, repository *git.Repository, head string, change promotion.Change) (promotion.Landing, error) {
	remote, err := c.remote(repository)
	if err != nil {
		return promotion.Landing{}, err
	}
	branch, err := c.target(ctx, remote, head)
	if err != nil {
		return promotion.Landing{}, err
	}
	author := git.Signature{Name: c.AuthorName, Email: c.AuthorEmail}
	committer := author
	if c.CommitterName != "" {
		committer.Name = c.CommitterName
	}
	if c.CommitterEmail != "" {
		committer.Email = c.CommitterEmail
	}
	return promotion.Landing{
		Remote: remote, Repository: repository, Branch: branch, Work: change,
		Message: promotion.Message{Text: c.Message, Changelog: c.Changelog, Trailers: c.Trailers},
		Author:  author, Committer: committer, Patience: c.Timeout,
	}, nil
}

func (c *config) remote(repository *git.Repository) (*git.Remote, error) {
	url := c.URL
	if url == "" {
		url = repository.RemoteURL()
	}
	if url == "" {
		return nil, fault.Usage("NoRemote", fmt.Errorf("%s has no remote origin", c.Source), "Say with url where to push.")
	}
	return git.NewRemote(url, c.Access(c.Timeout))
}

// target is the full name of the branch to push to. A checkout of a commit or
// a tag has none of its own.
func (c *config) target(ctx context.Context, remote *git.Remote, head string) (string, error) {
	branch := c.Branch
	if branch == "" {
		branch = head
	}
	if branch != "" {
		return "refs/heads/" + strings.TrimPrefix(branch, "refs/heads/"), nil
	}
	ref, err := remote.Tip(ctx, "")
	if err != nil {
		return "", err
	}
	return ref.Name, nil
}

// settle brings the checkout to the commit, unless it has another branch
// checked out, and forgets the intents. A run that is stopped before starts
// again from the intents and finds its work done.
func settle(repository *git.Repository, head, branch string, commit git.Hash) error {
	if head == "" || "refs/heads/"+head == branch {
		if err := repository.Reset(head, commit); err != nil {
			return err
		}
	}
	return promotion.Clear(repository)
}

func (c *config) finish(ctx context.Context, landed promotion.Landed) error {
	c.Commit, c.Outcome = string(landed.Commit), string(landed.Outcome)
	c.Changed = fmt.Sprint(landed.Outcome == promotion.Promoted)
	slog.InfoContext(ctx, c.Outcome, "commit", landed.Commit.Short())
	return nil
}
