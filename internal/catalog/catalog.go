// Package catalog changes which environments and applications there are: their entries
// in environments.yaml and, beside it, applications.yaml, each by one commit or, where
// they are files of this machine, in place; and the repository that each environment
// has. It knows no cluster: what it makes is provisioned by whoever reconciles.
package catalog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// list is the key of environments.yaml that has them.
const list = "environments"

// Catalog is an environments.yaml that is to be changed.
type Catalog struct {
	// Where is a file of this machine, or the URL of the Git repository that has Path
	// on Revision ("": the default branch).
	Where, Path, Revision string
	Open                  func(url string) (*git.Remote, error)
	Author, Committer     git.Signature  // no committer: the author
	Key                   *signature.Key // signs the commits; nil: nobody does
	Patience              time.Duration  // how long races may be lost
	DryRun                bool
}

// Changed is what became of a change.
type Changed struct {
	Done   bool     // false: it was so already
	Commit git.Hash // that the branch got; "" for a file
	Diff   string   // of a dry run, as git diff prints it
}

// Remote is the repository of environments.yaml, nil where it is a file.
func (c Catalog) Remote() (*git.Remote, error) {
	if _, ok := c.file(); ok {
		return nil, nil
	}
	return c.Open(c.Where)
}

// Place is where environments.yaml is, without credentials.
func (c Catalog) Place() (string, error) {
	remote, err := c.Remote()
	if err != nil || remote == nil {
		return c.Where, err
	}
	return remote.URL(), nil
}

// known are the environments that there are.
func (c Catalog) known(ctx context.Context) (*environment.Environments, error) {
	return promotion.Environments(ctx, c.Where, c.Path, c.Revision, c.Open)
}

func (c Catalog) file() (name string, ok bool) {
	info, err := os.Stat(c.Where)
	return c.Where, err == nil && info.Mode().IsRegular() || err != nil && !strings.Contains(c.Where, ":")
}

// Add gives environments.yaml an environment, behind the one that is named after.
// Where one of that name is there and says the same, nothing changes; one that says
// something else is a Refused fault EnvironmentExists.
func (c Catalog) Add(ctx context.Context, name, after string, pairs []edit.Pair) (Changed, error) {
	return c.change(ctx, message("create environment "+name, promotion.CreateEnvironment, name), func(text []byte, known *environment.Environments) ([]byte, error) {
		if _, err := known.Find(name); err != nil {
			return edit.AddItem(text, list, after, pairs)
		}
		same, err := edit.SetItem(text, list, name, pairs)
		if err == nil && !bytes.Equal(same, text) {
			err = fault.Refused("EnvironmentExists", fmt.Errorf("%s is there, and not as it is asked for", name), "lockstep edit environment "+name+" changes it.")
		}
		return text, err
	})
}

// Set changes keys of an environment, which has to be there; a Value of nil takes a
// key out.
func (c Catalog) Set(ctx context.Context, name string, pairs []edit.Pair) (Changed, error) {
	return c.change(ctx, message("edit environment "+name, promotion.EditEnvironment, name), func(text []byte, known *environment.Environments) ([]byte, error) {
		if _, err := known.Find(name); err != nil {
			return nil, err
		}
		return edit.SetItem(text, list, name, pairs)
	})
}

// Remove takes an environment out; one that is not there changes nothing. One that
// others wait for is a Refused fault EnvironmentNeeded.
func (c Catalog) Remove(ctx context.Context, name string) (Changed, error) {
	return c.change(ctx, message("delete environment "+name, promotion.DeleteEnvironment, name), func(text []byte, known *environment.Environments) ([]byte, error) {
		if _, err := known.Find(name); err != nil {
			return text, nil
		}
		if waiting := known.After(name); len(waiting) > 0 {
			return nil, fault.Refused("EnvironmentNeeded", fmt.Errorf("delete %s: %s is after it", name, waiting[0].Name),
				"Let it be after another one first: lockstep edit environment "+waiting[0].Name+" --after NAME, or --after '' for none.")
		}
		return edit.RemoveItem(text, list, name)
	})
}

func message(subject, operation, name string) promotion.Message {
	return promotion.Message{Text: "chore: " + subject, Trailers: promotion.About(operation, name)}
}

// document is a file of a catalog.
type document struct {
	path  string // in the repository
	local string // of this machine, where the catalog is a file
	empty []byte // what it begins with, beside environments.yaml; nil: it has to be there
}

func (c Catalog) environments() document { return document{path: c.Path, local: c.Where} }

// change edits environments.yaml. What comes of it must be one.
func (c Catalog) change(ctx context.Context, m promotion.Message, do func([]byte, *environment.Environments) ([]byte, error)) (Changed, error) {
	return c.changeDocument(ctx, c.environments(), m, func(text []byte) ([]byte, error) {
		known, err := environment.Parse(c.Where, text)
		if err != nil {
			return nil, err
		}
		out, err := do(text, known)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Where, err)
		}
		if _, err = environment.Parse(c.Where, out); err != nil {
			err = fault.Usage(environment.Invalid, err, asItWouldBe)
		}
		return out, err
	})
}

const asItWouldBe = "Nothing was changed. The places are those of the file as it would be."

// changeDocument edits a file, again on a newer tip where somebody else was faster.
func (c Catalog) changeDocument(ctx context.Context, d document, m promotion.Message, do func([]byte) ([]byte, error)) (Changed, error) {
	if _, ok := c.file(); ok {
		return c.changeFile(d, m, do)
	}
	remote, err := c.Open(c.Where)
	if err != nil {
		return Changed{}, err
	}
	for end, pause := time.Now().Add(c.Patience), firstPause; ; pause = min(2*pause, longestPause) {
		changed, err := c.attempt(ctx, remote, d, m, do)
		if !errors.Is(err, git.ErrMoved) || time.Now().Add(pause).After(end) {
			return changed, err
		}
		select {
		case <-ctx.Done():
			return Changed{}, errors.Join(err, ctx.Err())
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// How long it is until a race is run again, on average, at first and at most.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

func (c Catalog) attempt(ctx context.Context, remote *git.Remote, d document, m promotion.Message, do func([]byte) ([]byte, error)) (Changed, error) {
	scratch, tip, text, err := c.fetch(ctx, remote, d)
	if err != nil {
		return Changed{}, err
	}
	out, err := do(text)
	if err != nil || bytes.Equal(out, text) {
		return Changed{Commit: tip.Hash}, err
	}
	commit, err := c.commit(scratch, tip.Commit(), m, git.File{Path: d.path, Content: out})
	if err != nil {
		return Changed{}, err
	}
	if c.DryRun {
		diff, err := scratch.Diff(tip.Commit(), commit)
		return Changed{Done: true, Commit: tip.Hash, Diff: diff}, err
	}
	err = remote.Push(ctx, scratch, git.Update{Ref: tip.Name, Old: tip.Hash, New: commit})
	return Changed{Done: true, Commit: commit}, err
}

// fetch reads a document as the branch has it now.
func (c Catalog) fetch(ctx context.Context, remote *git.Remote, d document) (scratch *git.Repository, tip git.Ref, text []byte, err error) {
	if tip, err = remote.Resolve(ctx, c.Revision); err != nil {
		return nil, git.Ref{}, nil, err
	}
	scratch = git.NewMemory()
	if err = remote.Fetch(ctx, scratch, tip, 1); err != nil {
		return nil, git.Ref{}, nil, err
	}
	text, err = c.readDocument(scratch, remote, tip, d)
	return scratch, tip, text, err
}

// readDocument gives what a document begins with where it is not there. Then it wants
// an environments.yaml beside it: else this is the wrong repository.
func (c Catalog) readDocument(in *git.Repository, remote *git.Remote, tip git.Ref, d document) ([]byte, error) {
	text, err := in.Read(tip.Commit(), d.path)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, git.ErrNotFound) && d.empty != nil:
		_, err := c.readDocument(in, remote, tip, c.environments())
		return d.empty, err
	}
	return nil, fault.Usage("FileNotRead", fmt.Errorf("read %s in %s: %w", d.path, remote.URL(), err), "Check the path of the file in the repository.")
}

func (c Catalog) commit(r *git.Repository, parent git.Hash, m promotion.Message, files ...git.File) (git.Hash, error) {
	text, err := m.Compose(nil)
	if err != nil {
		return "", err
	}
	author, committer := c.Author, cmp.Or(c.Committer, c.Author)
	author.When = time.Now()
	committer.When = author.When
	return r.Commit(git.CommitOptions{Parent: parent, Files: files, Message: text, Author: author, Committer: committer, Key: c.Key})
}
