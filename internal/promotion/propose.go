package promotion

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/forge"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/redact"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// PullRequests says how promotions by pull request go. The zero value opens a
// request and leaves it at that.
type PullRequests struct {
	Forge forge.Kind // "": found out
	// Merge merges a request as soon as its forge finds it ready.
	Merge  bool
	Method forge.Method
	// Wait is how long to wait until a request is merged, by whomever; 0: not.
	Wait time.Duration
}

// Proposed is what became of a promotion by pull request.
type Proposed struct {
	Outcome Outcome
	// Commit is the tip at which nothing was left to do; what the base got, of
	// Promoted; what is proposed, of Opened.
	Commit  git.Hash
	Request forge.Request      // the zero value where there is none
	Held    environment.Closed // of Waiting: by what
}

// proposer brings one promotion onto a branch of its own and opens a pull
// request from there. There is one request per application and environment:
// a newer version takes over the branch, and gives the request its own title.
type proposer struct {
	Promotion
	target     Target
	how        PullRequests
	repository *git.Repository
	forge      *forge.Repository

	base     git.Ref
	intent   Intent // with From, once begun
	begun    bool
	labels   []string
	built    git.Hash // what is proposed, and the base's tip it was built on
	on       git.Hash
	proposed forge.Request
	merging  bool // the forge was asked to merge it, and did not refuse
}

// Propose opens a pull request for the promotion, or updates the open one, and
// waits for it as far as it is told to. The branch is rebuilt on the base's tip,
// so a base that moved never makes a conflict that the intent can solve.
//
// A request that somebody closes meanwhile is a Refused fault
// PullRequestClosed, one that is not merged in time a Retryable one,
// PullRequestNotMerged. Other errors are those of Into and of the room forge.
func (p Promotion) Propose(ctx context.Context, t Target, how PullRequests) (Proposed, error) {
	on, err := forge.On(ctx, t.Remote, how.Forge)
	if err != nil {
		return Proposed{}, err
	}
	w := &proposer{Promotion: p, target: t, how: how, repository: git.NewMemory(), forge: on}
	done, err := w.open(ctx)
	if err != nil || done.Outcome != Opened || how.Wait == 0 {
		return done, err
	}
	return w.await(ctx)
}

// BranchFor is the branch of the pull request for an application in an environment.
func BranchFor(environment, application string) string {
	return "lockstep/" + environment + "/" + application
}

func (w *proposer) branch() string {
	return "refs/heads/" + BranchFor(w.target.Environment, w.Application)
}

func (w *proposer) into() string { return strings.TrimPrefix(w.base.Name, "refs/heads/") }

// open builds the branch and proposes it, again when another program was at
// the branch at the same time.
func (w *proposer) open(ctx context.Context) (Proposed, error) {
	patience := cmp.Or(w.Patience, defaultPatience)
	deadline := time.Now().Add(patience)
	for attempt := 1; ; attempt++ {
		done, err := w.attempt(ctx)
		if !errors.Is(err, git.ErrMoved) {
			return done, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return Proposed{}, contention(w.branch(), w.target.Remote, attempt, patience)
		}
		if err := retry.Sleep(ctx, rand.N(window(attempt, firstWindow, left))); err != nil {
			return Proposed{}, err
		}
	}
}

func (w *proposer) attempt(ctx context.Context) (Proposed, error) {
	remote := w.target.Remote
	base, err := remote.Tip(ctx, w.target.Branch)
	if err != nil {
		return Proposed{}, err
	}
	w.base = base
	if err := remote.FetchTips(ctx, w.repository, base.Hash); err != nil {
		return Proposed{}, err
	}
	applied, err := w.begin(ctx, CommitTree(w.repository, base.Hash))
	if err != nil {
		return Proposed{}, err
	}
	if applied.Outcome != Promoted {
		return Proposed{Outcome: applied.Outcome, Commit: base.Hash, Held: applied.Held}, w.giveUp(ctx)
	}
	overtaken, old, err := w.overtaken(ctx)
	if err != nil || overtaken.Outcome != "" {
		return overtaken, err
	}
	if err := w.build(ctx, applied, old); err != nil {
		return Proposed{}, err
	}
	return w.propose(ctx)
}

// giveUp closes the request that would bring what is to be removed, where the base
// does not have it.
func (w *proposer) giveUp(ctx context.Context) error {
	if !w.Remove {
		return nil
	}
	request, open, err := w.forge.Find(ctx, BranchFor(w.target.Environment, w.Application), w.into())
	if err != nil || !open {
		return err
	}
	return w.forge.Close(ctx, request)
}

// begin holds the promotion against the base. What stands there the first time
// is what later tips are held against.
func (w *proposer) begin(ctx context.Context, tree Tree) (Applied, error) {
	if w.begun {
		return Apply(ctx, tree, w.intent)
	}
	applied, err := w.first(ctx, tree, w.target)
	if err != nil || applied.Outcome != Promoted {
		return applied, err
	}
	if err := w.checkPublished(ctx, tree, applied.Intent); err != nil {
		return Applied{}, err
	}
	w.intent, w.begun = applied.Intent, true
	w.labels, err = w.labelsFor(tree)
	return applied, err
}

// overtaken looks at the request that is open: with a newer version it stays as
// it is. old is where the branch is now. What is left on a branch without an
// open request says nothing: it was merged, or a person did not want it.
func (w *proposer) overtaken(ctx context.Context) (done Proposed, old git.Hash, err error) {
	remote := w.target.Remote
	refs, err := remote.Refs(ctx, w.branch())
	if err != nil {
		return Proposed{}, "", err
	}
	old = git.Zero
	for _, ref := range refs {
		if ref.Name == w.branch() {
			old = ref.Hash
		}
	}
	if old == git.Zero {
		return Proposed{}, old, nil
	}
	if err := remote.FetchTips(ctx, w.repository, old); err != nil {
		return Proposed{}, "", err
	}
	proposed := CommitTree(w.repository, old)
	held, err := w.heldIn(proposed)
	if err != nil {
		return Proposed{}, "", err
	}
	if held.Outcome == "" && (w.Exact || w.Remove || !w.newer(proposed)) {
		return Proposed{}, old, nil
	}
	request, open, err := w.forge.Find(ctx, BranchFor(w.target.Environment, w.Application), w.into())
	if err != nil || !open {
		return Proposed{}, old, err
	}
	done = Proposed{Outcome: Superseded, Commit: old, Request: request}
	if held.Outcome != "" {
		done.Outcome, done.Held = Waiting, held.Held
	}
	return done, old, nil
}

// heldIn is Waiting where a tree has a hold that keeps this promotion back: that of
// the base, or of a rollback that is proposed.
func (w *proposer) heldIn(tree Tree) (Proposed, error) {
	if w.Remove {
		return Proposed{}, nil
	}
	a, err := restrain(tree, Applied{Intent: w.intent, Outcome: Promoted})
	if err != nil || a.Outcome != Waiting {
		return Proposed{}, err
	}
	return Proposed{Outcome: Waiting, Held: a.Held}, nil
}

// newer reports whether what is proposed goes first: a higher version, or that the
// application goes. What cannot be read does not.
func (w *proposer) newer(proposed Tree) bool {
	current, err := currentValue(proposed, w.intent)
	if gone := errors.Is(err, edit.ErrNotFound) || err == nil && current == ""; gone {
		return w.intent.From != ""
	}
	if err != nil {
		return false
	}
	outcome, err := decide(Intent{Kind: w.intent.Kind, From: current, To: w.Version}, current, "")
	return err != nil || outcome == Superseded
}

// build makes the commit on the base's tip and moves the branch to it, unless
// it is there already.
func (w *proposer) build(ctx context.Context, applied Applied, old git.Hash) error {
	w.on = w.base.Hash
	commit, err := commitOn(w.repository, w.on, []Applied{applied}, filesOf([]Applied{applied}), w.message(w.target), w.Author, w.Committer, w.Key)
	if err != nil {
		return err
	}
	if old != git.Zero && w.same(old, commit) {
		w.built = old // with its words and, on the forge, its approvals
		return nil
	}
	w.built = commit
	if err := w.target.Remote.Push(ctx, w.repository, git.Update{Ref: w.branch(), Old: old, New: commit, Rebuild: true}); err != nil {
		return err
	}
	applied.Warn(ctx)
	return nil
}

// same reports whether two commits differ in nothing but the time or, where
// nobody but another environment asks for the version, in what they say below
// the subject: each deployment there asks again, in the name of another run.
func (w *proposer) same(a, b git.Hash) bool {
	one, errOne := w.repository.Info(a)
	two, errTwo := w.repository.Info(b)
	if errOne != nil || errTwo != nil || len(one.Parents) != 1 || one.Parents[0] != two.Parents[0] {
		return false
	}
	if one.Message != two.Message && (!w.follows || subjectOf(one.Message) != subjectOf(two.Message)) {
		return false
	}
	changed, err := w.repository.ChangedPaths(a, b)
	return err == nil && len(changed) == 0
}

func subjectOf(message string) string {
	subject, _, _ := strings.Cut(message, "\n")
	return subject
}

// propose opens a request that says what the branch's commit says.
func (w *proposer) propose(ctx context.Context) (Proposed, error) {
	commit, err := w.repository.Info(w.built)
	if err != nil {
		return Proposed{}, err
	}
	title, body, _ := strings.Cut(commit.Message, "\n")
	w.proposed, err = w.forge.Propose(ctx, forge.Proposal{
		Title: title, Body: strings.TrimSpace(body), Branch: BranchFor(w.target.Environment, w.Application), Base: w.into(), Labels: w.labels,
	})
	if err != nil {
		return Proposed{}, err
	}
	return Proposed{Outcome: Opened, Commit: w.built, Request: w.proposed}, nil
}

// longestLabel is how long forges let a label be.
const longestLabel = 50

// labelsFor are env/<environment> and dependency/<repository>/<application>,
// where the repository is the last part of the chart repository's address.
func (w *proposer) labelsFor(tree Tree) ([]string, error) {
	there, err := know(tree, w.intent)
	if err != nil {
		return nil, err
	}
	labels := []string{"env/" + w.target.Environment}
	if u, err := url.Parse(there.repository); err == nil && u.Host != "" {
		from := cmp.Or(strings.Trim(path.Base(u.Path), "/."), u.Hostname())
		labels = append(labels, "dependency/"+from+"/"+w.Application)
	} else {
		labels = append(labels, "dependency/"+w.Application)
	}
	for i, l := range labels {
		l = strings.ReplaceAll(oneLine(redact.Text(l)), ",", "-") // a comma ends a label on GitLab
		if runes := []rune(l); len(runes) > longestLabel {
			l = string(runes[:longestLabel])
		}
		labels[i] = l
	}
	return labels, nil
}
