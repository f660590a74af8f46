// Command clone fetches a repository at a revision into a folder. It takes
// every parameter of the Tekton catalog's git-clone, so that a Task reference
// can be swapped.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/step"
)

type config struct {
	URL            string        `param:"url" required:"true" desc:"Repository to clone: https, http, ssh, user@host:path, or a path on this machine. Example: https://git.example.com/acme/user-service"`
	Revision       string        `param:"revision" desc:"Branch, tag, full ref or commit of 40 hex digits; of a tag and a branch of one name, the tag. Empty: the default branch. Example: main"`
	Refspec        string        `param:"refspec" desc:"What to fetch before the revision is looked for, as source:destination, separated by spaces. Example: refs/pull/7/head:refs/heads/pull-7"`
	Submodules     bool          `param:"submodules" default:"true" desc:"Check submodules out too, each with the credentials of its own host."`
	SubmodulePaths string        `param:"submodulePaths" desc:"Only submodules at or below these paths, separated by commas. Empty: all. Example: libs,tools/lint"`
	Depth          int           `param:"depth" default:"1" desc:"Commits of history to fetch. 0: all of it."`
	Subdirectory   string        `param:"subdirectory" desc:"Folder below output to clone into, made when it is missing. Example: source"`
	DeleteExisting bool          `param:"deleteExisting" default:"true" desc:"Empty the folder first. false keeps files that Git never tracked there."`
	Sparse         string        `param:"sparseCheckoutDirectories" desc:"Patterns of the files to check out, as in .gitignore, separated by commas. Empty: all. Example: charts/,!charts/old/"`
	Verbose        bool          `param:"verbose" default:"true" desc:"Log what is done. Errors are always logged."`
	UserFriendly   bool          `param:"userFriendlyErrors" default:"true" desc:"Kept for git-clone's users: failures always end with a hint and the command that reproduces them."`
	UserHome       string        `param:"userHome" desc:"Folder with .gitconfig, .git-credentials and .ssh, used when Tekton lays out no credentials."`
	Timeout        time.Duration `param:"timeout" default:"15m" desc:"How long all of it may take. Example: 5m"`

	git.Login
	signature.Allowed

	Output string `workspace:"output" required:"true" desc:"Folder to clone into."`

	Commit        string `result:"commit" desc:"The commit that was checked out, 40 hex digits."`
	ResultURL     string `result:"url" desc:"The repository's URL without user and password."`
	CommitterDate string `result:"committer-date" desc:"The commit's time in seconds since 1970."`
	ChainsURL     string `result:"CHAINS-GIT_URL" desc:"The URL again, under the name that Tekton Chains reads."`
	ChainsCommit  string `result:"CHAINS-GIT_COMMIT" desc:"The commit again, under the name that Tekton Chains reads."`
}

func main() {
	step.Main("clone", "fetch a repository at a revision into a workspace", run)
}

func run(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.Depth < 0 {
		return fault.Usage("InvalidParameters", fmt.Errorf("depth %d is negative", c.Depth), "0 fetches all history.")
	}
	signers, err := c.Signers()
	if err != nil {
		return err
	}
	remote, err := git.NewRemote(c.URL, c.access())
	if err != nil {
		return err
	}
	c.say(ctx, "clone", "url", remote.URL(), "revision", cmp.Or(c.Revision, "(default branch)"), "depth", c.Depth)
	start := time.Now()
	repository, err := git.Clone(ctx, remote, git.CloneOptions{
		Dir: c.Output, Subdirectory: c.Subdirectory, Revision: c.Revision, Refspec: c.Refspec, Depth: c.Depth,
		DeleteExisting: c.DeleteExisting, Sparse: items(c.Sparse), Submodules: c.Submodules, SubmodulePaths: items(c.SubmodulePaths),
		Signers: signers,
	})
	if err != nil {
		return err
	}
	branch, commit, err := repository.Head()
	if err != nil {
		return err
	}
	info, err := repository.Info(commit)
	if err != nil {
		return err
	}
	c.Commit, c.ChainsCommit = string(commit), string(commit)
	c.ResultURL, c.ChainsURL = remote.URL(), remote.URL()
	c.CommitterDate = strconv.FormatInt(info.Committer.When.Unix(), 10)
	c.say(ctx, "checked out", "commit", commit, "branch", branch, "subject", info.Subject(),
		"folder", repository.Dir(), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

func (c *config) access() git.Access {
	a := c.Access(0)
	a.CredentialsPath = cmp.Or(c.Creds, c.UserHome)
	return a
}

func (c *config) say(ctx context.Context, message string, details ...any) {
	if c.Verbose {
		slog.InfoContext(ctx, message, details...)
	}
}

// items splits a list as git-clone's users write it.
func items(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' })
}
