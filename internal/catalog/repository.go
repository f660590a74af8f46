package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

const (
	chartFile  = "Chart.yaml"
	holdsFile  = ".lockstep/holds.json" // what is held there is not held here
	mainBranch = "main"
)

// Source is what the repository of a new environment begins with. The zero value: a
// chart without dependencies.
type Source struct {
	URL, Branch, Path string
	// Name is the environment that it is a copy of; "" where it is a template.
	Name string
}

// Hosting says how a repository is made on its forge.
type Hosting struct {
	Kind    forge.Kind // "": found out
	Public  bool
	Protect bool // nobody may rewrite the branch
}

// Repository is what became of an environment's repository.
type Repository struct {
	Created   bool // it was not there
	Filled    bool // it had no chart at the environment's path
	Protected bool // its branch was not protected
	Commit    git.Hash
}

// Ensure makes sure that an environment has a repository with a chart in it. One that
// has a chart already is adopted as it is. Nothing is made before it is known what the
// repository begins with.
func (c Catalog) Ensure(ctx context.Context, env environment.Environment, from Source, how Hosting) (done Repository, err error) {
	remote, err := c.Open(env.Repository)
	if err != nil {
		return done, err
	}
	if _, here := remote.Dir(); here && how.Protect {
		return done, fault.Usage("UnknownForge", fmt.Errorf("protect the branch of %s: it is on no forge", remote.URL()), "Leave --protect out.")
	}
	tip, there, err := tipOf(ctx, remote, env.Branch)
	if errors.Is(err, git.ErrNotFound) && !there {
		done.Created, err = true, nil
		tip = git.Ref{Name: branchOf(env.Branch)}
	}
	if err != nil {
		return done, err
	}
	if done.Commit, done.Filled, err = c.fill(ctx, remote, tip, env, from, func() error {
		if !done.Created {
			return nil
		}
		return create(ctx, remote, how)
	}); err != nil {
		return done, err
	}
	if how.Protect && !c.DryRun {
		done.Protected, err = protect(ctx, remote, env, how)
	}
	return done, err
}

// tipOf is where the environment's branch is. there: the repository is, whether it has
// the branch or not.
func tipOf(ctx context.Context, remote *git.Remote, branch string) (tip git.Ref, there bool, err error) {
	if dir, ok := remote.Dir(); ok && unfinished(dir) {
		return git.Ref{}, false, fmt.Errorf("%s is not finished: %w", dir, git.ErrNotFound)
	}
	tip, err = remote.Tip(ctx, branch)
	if errors.Is(err, git.ErrEmptyRepository) {
		return git.Ref{Name: branchOf(branch)}, true, nil
	}
	if err == nil {
		return tip, true, nil
	}
	// Which of both is not there? A repository that is has a list of refs.
	if _, errRefs := remote.Refs(ctx, "refs/heads/"); errRefs == nil {
		return git.Ref{}, true, err
	}
	return git.Ref{}, false, err
}

// unfinished reports whether a folder is empty, or the repository that CreateBare was
// making in it when it was interrupted.
func unfinished(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return !slices.Contains([]string{"objects", "refs", "config"}, e.Name()) && !strings.HasPrefix(e.Name(), ".config-") && !strings.HasPrefix(e.Name(), ".HEAD-")
	})
}

// branchOf is the branch that a repository begins with.
func branchOf(branch string) string {
	return "refs/heads/" + strings.TrimPrefix(cmp.Or(branch, mainBranch), "refs/heads/")
}

func create(ctx context.Context, remote *git.Remote, how Hosting) error {
	if dir, ok := remote.Dir(); ok {
		return git.CreateBare(dir)
	}
	_, err := forge.CreateRepository(ctx, remote, how.Kind, !how.Public)
	return err
}

func protect(ctx context.Context, remote *git.Remote, env environment.Environment, how Hosting) (bool, error) {
	tip, err := remote.Tip(ctx, env.Branch)
	if err != nil {
		return false, err
	}
	on, err := forge.On(ctx, remote, how.Kind)
	if err != nil {
		return false, err
	}
	return on.Protect(ctx, strings.TrimPrefix(tip.Name, "refs/heads/"))
}

// fill commits the chart where there is none, in a repository that is there after
// create.
func (c Catalog) fill(ctx context.Context, remote *git.Remote, tip git.Ref, env environment.Environment, from Source, create func() error) (git.Hash, bool, error) {
	scratch := git.NewMemory()
	if !tip.Hash.IsZero() {
		if err := remote.Fetch(ctx, scratch, tip, 1); err != nil {
			return "", false, err
		}
		if _, err := scratch.Read(tip.Commit(), path.Join(env.Path, chartFile)); err == nil {
			return tip.Hash, false, nil
		} else if !errors.Is(err, git.ErrNotFound) {
			return "", false, err
		}
	}
	files, source, err := c.content(ctx, scratch, env, from)
	if err != nil || c.DryRun {
		return tip.Hash, true, err
	}
	if err := create(); err != nil {
		return "", false, err
	}
	m := message("create environment "+env.Name, promotion.CreateEnvironment, env.Name)
	if from.Name != "" {
		m.Text += " from " + from.Name
	}
	if source != "" {
		m.Trailers = append(m.Trailers, "Lockstep-Source: "+source)
	}
	commit, err := c.commit(scratch, tip.Commit(), m, files...)
	if err != nil {
		return "", false, err
	}
	err = remote.Push(ctx, scratch, git.Update{Ref: tip.Name, Old: tip.Hash, New: commit})
	if errors.Is(err, git.ErrMoved) {
		err = fault.Retryable("RepositoryMoved", err, "Somebody else fills the repository. Run this again: it goes on from there.")
	}
	return commit, err == nil, err
}

// content are the files of a new environment, and where they come from.
func (c Catalog) content(ctx context.Context, scratch *git.Repository, env environment.Environment, from Source) (files []git.File, source string, err error) {
	if from.URL == "" {
		text := fmt.Sprintf("apiVersion: v2\nname: %s\ndescription: The environment %[1]s\nversion: 0.1.0\ndependencies: []\n", env.Name)
		return []git.File{{Path: path.Join(env.Path, chartFile), Content: []byte(text)}}, "", nil
	}
	remote, err := c.Open(from.URL)
	if err != nil {
		return nil, "", err
	}
	tip, err := remote.Tip(ctx, from.Branch)
	if err != nil {
		return nil, "", err
	}
	if err := remote.Fetch(ctx, scratch, tip, 1); err != nil {
		return nil, "", err
	}
	below := strings.TrimPrefix(from.Path+"/", "./")
	files, err = scratch.Difference(git.Zero, tip.Commit(), func(file string) bool {
		return strings.HasPrefix(file, below) && strings.TrimPrefix(file, below) != holdsFile
	})
	if err != nil {
		return nil, "", err
	}
	for i := range files {
		name := strings.TrimPrefix(files[i].Path, below)
		files[i].Path = path.Join(env.Path, name)
		if name == chartFile {
			if files[i].Content, err = named(files[i].Content, env.Name, from.Name); err != nil {
				return nil, "", fmt.Errorf("%s %s: %w", remote.URL(), name, err)
			}
		}
	}
	if !slices.ContainsFunc(files, func(f git.File) bool { return f.Path == path.Join(env.Path, chartFile) }) {
		return nil, "", fault.Refused("NoChart", fmt.Errorf("%s has no %s", remote.URL(), path.Join(from.Path, chartFile)), "Begin with a repository that has a chart.")
	}
	return files, remote.URL() + "@" + string(tip.Commit()), nil
}

// named gives a chart the environment's name: always that of a template, and of
// another environment's where it has that one's.
func named(chart []byte, name, before string) ([]byte, error) {
	current, err := edit.Value(chart, ".name")
	if err != nil || before != "" && current != before {
		return chart, err
	}
	out, _, err := edit.SetValue(chart, ".name", name)
	return out, err
}

// deleteRepository removes an environment's repository from its forge; that it is gone
// already is no error. One that has other environments in it, or environments.yaml, is a
// Refused fault RepositoryShared.
func (c Catalog) deleteRepository(ctx context.Context, env environment.Environment, known *environment.Environments, kind forge.Kind) error {
	remote, err := c.Open(env.Repository)
	if err != nil {
		return err
	}
	if err := c.checkAlone(remote, env, known); err != nil {
		return err
	}
	if dir, ok := remote.Dir(); ok {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fault.Refused("RepositoryIsAFolder", fmt.Errorf("delete %s: it is on no forge", dir), "Remove the folder yourself.")
	}
	if c.DryRun {
		return nil
	}
	on, err := forge.On(ctx, remote, kind)
	if err != nil {
		return err
	}
	return on.Delete(ctx)
}

func (c Catalog) checkAlone(remote *git.Remote, env environment.Environment, known *environment.Environments) error {
	others := slices.Clone(known.Environments)
	if _, ok := c.file(); !ok {
		others = append(others, environment.Environment{Name: c.Path, Repository: c.Where})
	}
	for _, other := range others {
		if other.Name == env.Name {
			continue
		}
		if in, err := c.Open(other.Repository); err == nil && placeOf(in) == placeOf(remote) {
			return fault.Refused("RepositoryShared", fmt.Errorf("delete %s: %s is in it as well", remote.URL(), other.Name),
				"Leave --delete-repository out, and remove the environment's folder in a commit.")
		}
	}
	return nil
}

// placeOf is equal for the ways to write one repository's URL: over SSH and HTTPS,
// with and without .git.
func placeOf(r *git.Remote) string {
	place, here := r.Dir()
	if !here {
		_, place, _ = strings.Cut(strings.ToLower(r.Page()), "://")
	}
	return strings.TrimSuffix(path.Clean(place), ".git")
}
