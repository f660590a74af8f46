// Package version numbers the releases of a repository. The numbers live as
// refs at the remote, so that builds on many machines agree without a database:
// a release is a tag; a number that is taken but not released yet is a ref
// below refs/lockstep/versions/.
package version

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/retry"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

const (
	tags     = "refs/tags/"
	reserved = "refs/lockstep/versions/"
)

// Options say how numbers are made.
type Options struct {
	Prefix string // of tags, such as "v" or "charts/user-service/v"
	Bump   string // patch, minor or major: what the next number raises
	// AtLeast is the lowest number to give, such as one that a file of the
	// repository states: it raises major or minor on purpose. "" for none.
	AtLeast string
}

// Number is a version with the tag that stands for it.
type Number struct {
	Version string // 1.2.3
	Tag     string // v1.2.3
	// Previous is the highest released version below this one, or "".
	Previous string
}

// Reserve gives a commit its number. A commit that has one, reserved or
// released, gets it again; otherwise the next free one is taken by creating
// its ref, which only one of all builds can do: the others go on to the next
// number, until ctx ends.
//
// The commits before it that have no number yet get theirs with it, as far as
// the local history tells: their builds may be under way, and a later commit
// must have the higher number, whichever build comes here first.
func Reserve(ctx context.Context, remote *git.Remote, repo *git.Repository, commit git.Hash, o Options) (Number, error) {
	least, err := o.check()
	if err != nil {
		return Number{}, err
	}
	for attempt := 1; ; attempt++ {
		known, err := list(ctx, remote, o.Prefix)
		if err != nil {
			return Number{}, err
		}
		if own, ok := known.of(commit); ok {
			return known.number(own, o.Prefix), nil
		}
		updates, own, err := known.take(repo, commit, o, least)
		if err != nil {
			return Number{}, err
		}
		err = remote.Push(ctx, repo, updates...)
		if err == nil {
			return known.number(own, o.Prefix), nil
		}
		if !errors.Is(err, git.ErrMoved) {
			return Number{}, fmt.Errorf("reserve version %s: %w", own, err)
		}
		slog.DebugContext(ctx, "another build was faster", "version", own, "attempt", attempt)
		if err := pause(ctx, attempt); err != nil {
			return Number{}, fmt.Errorf("reserve a version, %d attempts: %w", attempt, err)
		}
	}
}

// take plans the refs that give a commit, and those waiting before it, the next
// numbers; own is the commit's.
func (n numbers) take(repo *git.Repository, commit git.Hash, o Options, least *semver.Version) (updates []git.Update, own *semver.Version, err error) {
	waiting, err := n.waiting(repo, commit)
	if err != nil {
		return nil, nil, err
	}
	own = n.next(o.Bump, least)
	for _, before := range waiting {
		updates = append(updates, git.Update{Ref: reserved + o.Prefix + own.String(), Old: git.Zero, New: before})
		own = raise(own, o.Bump)
	}
	return append(updates, git.Update{Ref: reserved + o.Prefix + own.String(), Old: git.Zero, New: commit}), own, nil
}

// maxWaiting bounds how many commits one build numbers besides its own.
const maxWaiting = 20

// waiting lists the commits without a number between the commit and the nearest
// one before it that has one, oldest first. Where that one is further away than
// the local history or maxWaiting reach, there are none: they are old, and
// nobody builds them now.
func (n numbers) waiting(repo *git.Repository, commit git.Hash) ([]git.Hash, error) {
	var waiting []git.Hash
	found := false
	err := repo.Log(commit, func(c git.CommitInfo) bool {
		if c.Hash == commit {
			return true
		}
		if _, found = n.of(c.Hash); found {
			return false
		}
		waiting = append(waiting, c.Hash)
		return len(waiting) <= maxWaiting
	})
	if err != nil || !found {
		return nil, err
	}
	slices.Reverse(waiting)
	return waiting, nil
}

// pause keeps many builds from asking in step with each other.
func pause(ctx context.Context, attempt int) error {
	return retry.Sleep(ctx, rand.N(time.Duration(min(attempt, 20))*25*time.Millisecond))
}

func (o Options) check() (*semver.Version, error) {
	if !slices.Contains([]string{"patch", "minor", "major"}, o.Bump) {
		return nil, fault.Usage("InvalidParameters", fmt.Errorf("bump %q", o.Bump), "Give patch, minor or major.")
	}
	if o.AtLeast == "" {
		return semver.New(0, 0, 1, "", ""), nil
	}
	v, err := semver.StrictNewVersion(strings.TrimPrefix(o.AtLeast, "v"))
	if err != nil || v.Prerelease() != "" || v.Metadata() != "" {
		return nil, fault.Usage("InvalidVersion", fmt.Errorf("version %.100q is not of the form 1.2.3", o.AtLeast), "")
	}
	return v, nil
}

// entry is one ref that stands for a number.
type entry struct {
	version  *semver.Version
	commit   git.Hash
	released bool
}

type numbers []entry

// list reads the numbers from the remote, not from the checkout, whose history
// is usually cut and without tags.
func list(ctx context.Context, remote *git.Remote, prefix string) (numbers, error) {
	var known numbers
	for _, space := range []string{reserved, tags} {
		refs, err := remote.Refs(ctx, space+prefix)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			v, err := semver.StrictNewVersion(strings.TrimPrefix(ref.Name, space+prefix))
			if err != nil || v.Prerelease() != "" || v.Metadata() != "" {
				continue // other people's tags, release candidates
			}
			known = append(known, entry{v, ref.Commit(), space == tags})
		}
	}
	slices.SortFunc(known, func(a, b entry) int {
		return cmp.Or(a.version.Compare(b.version), strings.Compare(string(a.commit), string(b.commit)))
	})
	return known, nil
}

// of is the highest number that a commit has.
func (n numbers) of(commit git.Hash) (*semver.Version, bool) {
	for _, e := range slices.Backward(n) {
		if e.commit == commit {
			return e.version, true
		}
	}
	return nil, false
}

func (n numbers) next(bump string, least *semver.Version) *semver.Version {
	if len(n) == 0 {
		return least
	}
	next := raise(n[len(n)-1].version, bump)
	if next.LessThan(least) {
		return least
	}
	return next
}

func raise(v *semver.Version, bump string) *semver.Version {
	var next semver.Version
	switch bump {
	case "major":
		next = v.IncMajor()
	case "minor":
		next = v.IncMinor()
	default:
		next = v.IncPatch()
	}
	return &next
}

func (n numbers) number(v *semver.Version, prefix string) Number {
	result := Number{Version: v.String(), Tag: prefix + v.String()}
	for _, e := range n {
		if e.released && e.version.LessThan(v) {
			result.Previous = e.version.String()
		}
	}
	return result
}

// TagOptions describe a release's tag.
type TagOptions struct {
	Tag     string
	Message string // "": a light tag, without an object of its own
	By      git.Signature
	// Key signs the tag, which is annotated then: without a message, with its
	// name. nil: nobody does.
	Key *signature.Key
}

// Tag creates the tag of a release at the remote. A tag that stands for this
// commit already is fine, however it was made; one that stands for another is
// refused: a released version never changes.
func Tag(ctx context.Context, remote *git.Remote, repo *git.Repository, commit git.Hash, o TagOptions) error {
	ref := tags + o.Tag
	target := commit
	if o.Message != "" || o.Key != nil {
		var err error
		target, err = repo.Tag(git.TagOptions{Name: o.Tag, Commit: commit, Message: cmp.Or(o.Message, o.Tag), By: o.By, Key: o.Key})
		if err != nil {
			return err
		}
	}
	// Asked first, since two tag objects for one commit are the same release.
	if done, err := tagged(ctx, remote, ref, commit); done || err != nil {
		return err
	}
	err := remote.Push(ctx, repo, git.Update{Ref: ref, Old: git.Zero, New: target})
	if errors.Is(err, git.ErrMoved) {
		if done, err := tagged(ctx, remote, ref, commit); done || err != nil {
			return err
		}
	}
	return err
}

func tagged(ctx context.Context, remote *git.Remote, ref string, commit git.Hash) (bool, error) {
	refs, err := remote.Refs(ctx, ref)
	if err != nil {
		return false, err
	}
	for _, r := range refs {
		if r.Name != ref {
			continue
		}
		if r.Commit() == commit {
			return true, nil
		}
		return false, fault.Refused("TagExists", fmt.Errorf("tag %s of %s stands for commit %s, not %s: %w",
			strings.TrimPrefix(ref, tags), remote.URL(), r.Commit().Short(), commit.Short(), git.ErrRefused),
			"A released version never changes. Release the commit under a new version.")
	}
	return false, nil
}
