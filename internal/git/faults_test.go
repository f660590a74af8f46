package git_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// onTip commits a file's new content on a branch's tip, in memory.
func onTip(t *testing.T, r *git.Remote, path, content string) (*git.Repository, git.Update) {
	t.Helper()
	mem := git.NewMemory()
	tip, err := r.Tip(t.Context(), "main")
	ok(t, err)
	ok(t, r.Fetch(t.Context(), mem, tip, 1))
	commit, err := mem.Commit(git.CommitOptions{Parent: tip.Hash, Message: "ours", Author: someone,
		Files: []git.File{{Path: path, Content: []byte(content)}}})
	ok(t, err)
	return mem, git.Update{Ref: "refs/heads/main", Old: tip.Hash, New: commit}
}

func reason(t *testing.T, err error, kind fault.Kind, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	f := fault.Of(err)
	if f.Kind != kind || f.Reason != want {
		t.Fatalf("got %s (kind %d): %v; want %s (kind %d)", f.Reason, f.Kind, err, want, kind)
	}
}

func pushes(s *gittest.Server) int {
	return s.Count(func(r gittest.Request) bool {
		return r.Method == "POST" && strings.HasSuffix(r.Path, "git-receive-pack")
	})
}

func TestRow01_APushThatLostARaceIsToldApart(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "1", "b": "1"})
		r := remote(t, repo.URL)
		mem, update := onTip(t, r, "a", "2")
		theirs := repo.Commit("theirs", gittest.Files{"b": "2"})
		is(t, r.Push(t.Context(), mem, update), git.ErrMoved)
		same(t, repo.Head("main"), theirs)
		same(t, pushes(s), 0) // seen in the refs already, nothing was sent

		// Replayed on the new tip it lands, and their change stays.
		mem, update = onTip(t, r, "a", "2")
		ok(t, r.Push(t.Context(), mem, update))
		same(t, repo.File("main", "a")+repo.File("main", "b"), "22")
	})
}

// The race is lost between the server's list of refs and its lock: only the
// server sees it, and every server says it in words of its own.
func TestRow06_ARaceInsideTheServerIsDecidedByTheRef(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"cannot lock ref", "incorrect old value provided", "failed to update ref", "stale info", "es tut mir leid"} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			s := gittest.NewServer(t)
			repo := s.Create("app", gittest.Files{"a": "1"})
			other := repo.CommitTo("other", "theirs", gittest.Files{"b": "2"})
			// update runs before the ref is locked: here the other one wins.
			repo.Hook("update", fmt.Sprintf("git update-ref refs/heads/main %s || exit 1\necho '%s' >&2\nexit 1", other, words))
			r := remote(t, repo.URL)
			mem, update := onTip(t, r, "a", "2")
			err := r.Push(t.Context(), mem, update)
			is(t, err, git.ErrMoved)
			if errors.Is(err, git.ErrRefused) {
				t.Fatal("a race is no refusal")
			}
			same(t, pushes(s), 1)
		})
	}
}

func TestRow06_ARealRaceForOneRefHasOneWinner(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	const writers = 6
	var won, moved atomic.Int32
	var ready, all sync.WaitGroup
	ready.Add(writers)
	for n := range writers {
		all.Go(func() {
			r := remote(t, repo.URL)
			mem, update := onTip(t, r, "a", fmt.Sprint("writer ", n))
			ready.Done()
			ready.Wait()
			switch err := r.Push(t.Context(), mem, update); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, git.ErrMoved):
				moved.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	same(t, won.Load(), 1)
	same(t, moved.Load(), writers-1)
}

func TestRow04_TheAnswerWasLostButThePushArrived(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "1"})
		r := remote(t, repo.URL)
		mem, update := onTip(t, r, "a", "2")
		s.LoseAnswers(1, gittest.IsPush)
		ok(t, r.Push(t.Context(), mem, update))
		same(t, repo.Head("main"), string(update.New))
		same(t, pushes(s), 1)
		same(t, repo.Git("rev-list", "--count", "main"), "2")
	})
}

func TestRow04_SomebodyPushedOnTopMeanwhile(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		repo := s.Create("app", gittest.Files{"a": "1", "b": "1"})
		r := remote(t, repo.URL)
		mem, update := onTip(t, r, "a", "2")
		s.LoseAnswers(1, func(req *http.Request) bool {
			if !gittest.IsPush(req) {
				return false
			}
			repo.Commit("on top", gittest.Files{"b": "2"})
			repo.Commit("and again", gittest.Files{"b": "3"})
			return true
		})
		ok(t, r.Push(t.Context(), mem, update))
		same(t, pushes(s), 1)
		same(t, repo.File("main", "a")+repo.File("main", "b"), "23")
	})
}

func TestRow04_TheRequestWasLost(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r := remote(t, repo.URL)
	mem, update := onTip(t, r, "a", "2")
	cut := true
	s.Before(func(w http.ResponseWriter, req *http.Request) bool {
		if !gittest.IsPush(req) || !cut {
			return false
		}
		cut = false
		panic(http.ErrAbortHandler)
	})
	ok(t, r.Push(t.Context(), mem, update))
	same(t, repo.Head("main"), string(update.New))
	same(t, pushes(s), 2)
}

// Our answer was lost and then the branch was put elsewhere: not ours.
func TestRow04_ALostAnswerIsNoExcuse(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r := remote(t, repo.URL)
	mem, update := onTip(t, r, "a", "2")
	other := repo.CommitTo("other", "elsewhere", gittest.Files{"b": "2"})
	s.LoseAnswers(1, func(req *http.Request) bool {
		if gittest.IsPush(req) {
			repo.Git("update-ref", "refs/heads/main", other)
		}
		return gittest.IsPush(req)
	})
	is(t, r.Push(t.Context(), mem, update), git.ErrMoved)
	same(t, repo.Head("main"), other)
}

func TestRow05_AHookRefuses(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"pre-receive", "update"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			s := gittest.NewServer(t)
			repo := s.Create("app", gittest.Files{"a": "1"})
			repo.Hook(hook, `printf 'branch main is \033[31mprotected\033[0m\nask ops' >&2; exit 1`)
			r := remote(t, repo.URL)
			mem, update := onTip(t, r, "a", "2")
			err := r.Push(t.Context(), mem, update)
			is(t, err, git.ErrRefused)
			reason(t, err, fault.KindRefused, "PushRejected")
			for _, want := range []string{"protected", "ask ops"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the server's words %q are missing: %v", want, err)
				}
			}
			if strings.ContainsRune(err.Error(), 0x1b) {
				t.Errorf("control characters came through: %q", err)
			}
			same(t, pushes(s), 1) // no retry
			same(t, repo.Head("main"), string(update.Old))
		})
	}
}

func TestRow07_ARenewedTokenIsReadAgainOnce(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	s.RequireLogin("robot", "new-token")
	dir := t.TempDir()
	write(t, dir+"/username", "robot")
	write(t, dir+"/password", "old-token\n")
	r := remote(t, repo.URL, git.Access{BasicAuth: dir})
	_, err := r.Tip(t.Context(), "main")
	is(t, err, git.ErrAuthentication)
	reason(t, err, fault.KindRetryable, "GitAuthenticationFailed")
	same(t, len(s.Requests()), 2)
	write(t, dir+"/password", "new-token\n")
	_, err = r.Tip(t.Context(), "main")
	ok(t, err)

	// In the middle: the token ends before the push.
	mem, update := onTip(t, r, "a", "2")
	s.RequireLogin("robot", "newest-token")
	write(t, dir+"/password", "newest-token\n")
	ok(t, r.Push(t.Context(), mem, update))
}

func TestRow07_ForbiddenIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r := remote(t, repo.URL)
	mem, update := onTip(t, r, "a", "2")
	before := len(s.Requests())
	s.Before(gittest.Status(-1, 403, gittest.Any))
	err := r.Push(t.Context(), mem, update)
	is(t, err, git.ErrRefused)
	reason(t, err, fault.KindRefused, "GitForbidden")
	same(t, len(s.Requests())-before, 1)
}

func TestRow08_ABusyServerIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := gittest.NewServer(t)
			repo := s.Create("app", gittest.Files{"a": "1"})
			r := remote(t, repo.URL)
			s.Before(gittest.Status(2, status, gittest.Any))
			mem, update := onTip(t, r, "a", "2")
			s.Before(gittest.Status(1, status, gittest.IsPush))
			ok(t, r.Push(t.Context(), mem, update))
		})
	}
}

func TestRow08_RetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	s.Before(gittest.Status(1, 429, gittest.Any, "Retry-After", "1"))
	start := time.Now()
	_, err := remote(t, repo.URL).Tip(t.Context(), "main")
	ok(t, err)
	if took := time.Since(start); took < time.Second {
		t.Fatalf("came back after %s, the server wanted a second", took)
	}
}

func TestRow08_OneDeadlineBoundsAllAttempts(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	s.Before(gittest.Status(-1, 503, gittest.Any, "Retry-After", "3600"))
	start := time.Now()
	_, err := remote(t, repo.URL, git.Access{RetryFor: time.Second}).Tip(t.Context(), "main")
	reason(t, err, fault.KindRetryable, "GitUnreachable")
	if took := time.Since(start); took > 5*time.Second {
		t.Fatalf("gave up only after %s", took)
	}
}

func TestRow08_AConnectionLostInThePackIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": strings.Repeat("abc", 1000)})
	var fetches atomic.Int32
	s.Cut(func(r *http.Request) int {
		if gittest.IsFetch(r) && fetches.Add(1) == 2 { // the first lists refs
			return 200
		}
		return -1
	})
	mem := git.NewMemory()
	r := remote(t, repo.URL)
	tip, err := r.Tip(t.Context(), "main")
	ok(t, err)
	ok(t, r.Fetch(t.Context(), mem, tip, 1))
	same(t, fetches.Load(), 3)
}

func TestRow09_WhatIsNotThere(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *gittest.Server) {
		empty := s.Create("empty", nil)
		_, err := remote(t, empty.URL).Tip(t.Context(), "")
		is(t, err, git.ErrEmptyRepository)
		reason(t, err, fault.KindRefused, "EmptyRepository")
		_, err = remote(t, empty.URL).Tip(t.Context(), "main")
		is(t, err, git.ErrEmptyRepository)

		repo := s.Create("app", gittest.Files{"a": "1"})
		_, err = remote(t, repo.URL).Tip(t.Context(), "master")
		is(t, err, git.ErrNotFound)
		reason(t, err, fault.KindRefused, "RevisionNotFound")
		if hint := fault.Of(err).Hint; !strings.Contains(hint, "main") {
			t.Errorf("the hint does not name the branches: %s", hint)
		}

		// The default branch was renamed: HEAD follows, or points nowhere.
		repo.Git("branch", "-m", "main", "trunk")
		repo.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
		tip, err := remote(t, repo.URL).Tip(t.Context(), "")
		ok(t, err)
		same(t, tip.Name, "refs/heads/trunk")
		repo.Git("symbolic-ref", "HEAD", "refs/heads/gone")
		_, err = remote(t, repo.URL).Tip(t.Context(), "")
		is(t, err, git.ErrNotFound)

		_, err = remote(t, s.URL+"/nothing.git").Tip(t.Context(), "main")
		is(t, err, git.ErrNotFound)
		reason(t, err, fault.KindRefused, "RepositoryNotFound")

		// A first push into an empty repository is possible when asked for.
		mem := git.NewMemory()
		commit, err := mem.Commit(git.CommitOptions{Message: "first", Author: someone, Files: []git.File{{Path: "a", Content: []byte("1")}}})
		ok(t, err)
		ok(t, remote(t, empty.URL).Push(t.Context(), mem, git.Update{Ref: "refs/heads/main", Old: git.Zero, New: commit}))
		same(t, empty.Head("main"), string(commit))
	})
}

func TestRow10_RewrittenHistoryIsSeenAndNeverForcedOver(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	first := repo.Head("main")
	repo.Commit("second", gittest.Files{"a": "2"})
	r := remote(t, repo.URL)
	mem, update := onTip(t, r, "a", "3")
	repo.Git("update-ref", "refs/heads/main", first)
	is(t, r.Push(t.Context(), mem, update), git.ErrMoved)

	// Not even when asked: a branch only moves forward.
	backward := git.Update{Ref: "refs/heads/main", Old: update.New, New: update.Old}
	is(t, r.Push(t.Context(), mem, backward), git.ErrInvalid)
	same(t, repo.Head("main"), first)

	mem, update = onTip(t, r, "a", "3")
	ok(t, r.Push(t.Context(), mem, update))
}

func TestRow40_WhatIsNeverRightIsRefusedBeforeAnything(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", " ", "--upload-pack=touch x", "-x", "https://-host/x", "ssh://-oProxyCommand=x/y", "ssh://host/-x", "ssh://-x@host/y",
		"git@host:it's.git", "ssh://git@host/a'b", "ssh://git@host/a%27b", "git@host:$(id)", "git@host:-x", "ext::sh -c id", "git://host/x",
		"https://host/a\nb", "https://host/a%0ab", "ftp://host/x", "https://", "https:///x", "ssh://git@host", "file://host/x", "gopher://x/y",
	} {
		_, err := git.NewRemote(url, git.Access{})
		if err == nil {
			t.Errorf("%q is taken", url)
			continue
		}
		is(t, err, git.ErrInvalid)
		reason(t, err, fault.KindUsage, "InvalidURL")
	}
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r := remote(t, repo.URL)
	mem := git.NewMemory()
	for _, ref := range []string{
		"-x", "refs/heads/../../config", "refs/heads/-x", "a..b", "a b", "a\x00b", "a\nb", "/a", "a/", "a//b", "a.lock", ".a", "a/.b", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "a@{1}", "a.",
	} {
		_, err := r.Tip(t.Context(), ref)
		is(t, err, git.ErrInvalid)
		reason(t, err, fault.KindUsage, "InvalidRevision")
		err = r.Push(t.Context(), mem, git.Update{Ref: ref, New: git.Zero})
		is(t, err, git.ErrInvalid)
		_, err = git.Clone(t.Context(), r, git.CloneOptions{Dir: t.TempDir(), Revision: ref})
		is(t, err, git.ErrInvalid)
	}
	same(t, len(s.Requests()), 0)
	for _, url := range []string{"https://host/x", "http://host:8080/x.git", "git@host:acme/x.git", "ssh://git@host:22/acme/x", "host.xz:/srv/x.git", "/srv/x", "./x", "file:///srv/x", "git@[::1]:x.git"} {
		if _, err := git.NewRemote(url, git.Access{}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestRow42_CredentialsStayAtHome(t *testing.T) {
	t.Parallel()
	away := gittest.NewServer(t)
	there := away.Create("app", gittest.Files{"a": "1"})
	home := gittest.NewServer(t)
	home.Before(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, away.URL+r.URL.RequestURI(), http.StatusFound)
		return true
	})
	dir := t.TempDir()
	write(t, dir+"/username", "robot")
	write(t, dir+"/password", "c4nary")
	host := strings.TrimPrefix(home.URL, "http://")
	store := t.TempDir()
	write(t, store+"/.git-credentials", "http://robot:c4nary@"+host)
	for _, access := range []git.Access{{BasicAuth: dir}, {CredentialsPath: store}, {}} {
		url := home.URL + "/app.git"
		if access == (git.Access{}) {
			url = "http://robot:c4nary@" + host + "/app.git"
		}
		r := remote(t, url, access)
		tip, err := r.Tip(t.Context(), "main")
		ok(t, err)
		same(t, string(tip.Hash), there.Head("main"))
		ok(t, r.Fetch(t.Context(), git.NewMemory(), tip, 1))
	}
	for _, r := range home.Requests() {
		if r.Authorization == "" {
			t.Error("the home host got no credentials")
		}
	}
	for _, r := range away.Requests() {
		if r.Authorization != "" {
			t.Error("credentials left home")
		}
	}
}

func TestRow42_ARedirectOfAPushIsNotFollowed(t *testing.T) {
	t.Parallel()
	away := gittest.NewServer(t)
	away.Create("app", gittest.Files{"a": "1"})
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r := remote(t, repo.URL)
	mem, update := onTip(t, r, "a", "2")
	s.Before(func(w http.ResponseWriter, req *http.Request) bool {
		if gittest.IsPush(req) {
			http.Redirect(w, req, away.URL+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		}
		return gittest.IsPush(req)
	})
	if err := r.Push(t.Context(), mem, update); err == nil {
		t.Fatal("the push went somewhere else")
	}
	same(t, len(away.Requests()), 0)
}

func TestRow46_NoSecretInErrorsURLsOrFiles(t *testing.T) {
	t.Parallel()
	const canary = "c4nary-t0ken"
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	s.RequireLogin("robot", canary)
	url := "http://robot:" + canary + "@" + strings.TrimPrefix(repo.URL, "http://")
	dir := t.TempDir()
	checkout, err := git.Clone(t.Context(), remote(t, url), git.CloneOptions{Dir: dir, Depth: 1})
	ok(t, err)
	same(t, checkout.RemoteURL(), repo.URL)
	same(t, remote(t, url).URL(), repo.URL)
	noSecretBelow(t, dir, canary)

	// A server, or a hook, that repeats what it was sent.
	repo.Hook("pre-receive", "echo 'denied for http://robot:"+canary+"@host, token "+canary+"' >&2; exit 1")
	mem, update := onTip(t, remote(t, url), "a", "2")
	err = remote(t, url).Push(t.Context(), mem, update)
	is(t, err, git.ErrRefused)
	errs := []error{err}
	s.Before(gittest.Status(-1, 500, gittest.Any))
	_, err = remote(t, url, git.Access{RetryFor: time.Millisecond}).Tip(t.Context(), "")
	errs = append(errs, err)
	_, err = git.NewRemote("https://robot:"+canary+"@ho st/x", git.Access{})
	errs = append(errs, err)
	_, err = git.NewRemote("https://robot:"+canary+"@-host/x", git.Access{})
	errs = append(errs, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = remote(t, url).Tip(ctx, "")
	errs = append(errs, err)
	for _, err := range errs {
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("secret or nothing in %v", err)
		}
	}
}

// Of several refs, somebody else makes one as we would have, while our push is
// on its way: no refusal, the others are still to be made.
func TestRow06_SomebodyMadeOneOfSeveralRefs(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	first := repo.Head("main")
	second := repo.Commit("second", gittest.Files{"a": "2"})
	r := remote(t, repo.URL)
	mem := git.NewMemory()
	ok(t, r.Fetch(t.Context(), mem, git.Ref{Hash: git.Hash(second)}, 5))
	s.Before(func(_ http.ResponseWriter, req *http.Request) bool {
		if gittest.IsPush(req) {
			repo.Git("update-ref", "refs/numbers/1", first)
		}
		return false
	})
	ok(t, r.Push(t.Context(), mem,
		git.Update{Ref: "refs/numbers/1", Old: git.Zero, New: git.Hash(first)},
		git.Update{Ref: "refs/numbers/2", Old: git.Zero, New: git.Hash(second)}))
	same(t, strings.TrimSpace(repo.Git("rev-parse", "refs/numbers/2")), second)
}

// A server refuses while another push still holds the lock: the ref has not
// moved when it is read again, and has a moment later.
func TestRow06_TheOtherPushIsNotYetDone(t *testing.T) {
	t.Parallel()
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	other := repo.CommitTo("other", "theirs", gittest.Files{"b": "2"})
	repo.Hook("update", "echo 'failed to lock' >&2\nexit 1")
	r := remote(t, repo.URL)
	mem, update := onTip(t, r, "a", "2")
	var looks atomic.Int32
	s.Before(func(_ http.ResponseWriter, req *http.Request) bool {
		if pushes(s) > 0 && gittest.IsFetch(req) && looks.Add(1) == 2 {
			repo.Git("update-ref", "refs/heads/main", other)
		}
		return false
	})
	is(t, r.Push(t.Context(), mem, update), git.ErrMoved)
	same(t, pushes(s), 1)
}

// TestRow08_ALimitIsNotADenial: GitHub tells its secondary limits with 403 and
// the time at which they end.
func TestRow08_ALimitIsNotADenial(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	r := remote(t, repo.URL)
	s.Before(gittest.Status(1, 403, gittest.Any, "Retry-After", "1"))
	mem, update := onTip(t, r, "a", "2")
	over := strconv.FormatInt(time.Now().Add(-time.Second).Unix(), 10)
	s.Before(gittest.Status(1, 403, gittest.IsPush, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", over))
	ok(t, r.Push(t.Context(), mem, update))

	s.Before(gittest.Status(-1, 403, gittest.Any, "Retry-After", "3600"))
	_, err := remote(t, repo.URL).Tip(t.Context(), "main")
	reason(t, err, fault.KindRetryable, "GitUnreachable")
}
