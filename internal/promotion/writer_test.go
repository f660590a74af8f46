package promotion_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// rush is many writers of one branch, each an application of its own but every
// tenth, which takes that of the first.
type rush struct {
	server     *gittest.Server
	repository *gittest.Repository
}

const writers = 12

func appOf(i int) string {
	if i%10 == 9 {
		return "app-00"
	}
	return fmt.Sprintf("app-%02d", i)
}

func versionOf(i int) string { return fmt.Sprintf("1.1.%d", i) }

func newRush(t *testing.T) *rush {
	t.Helper()
	return rushOn(gittest.NewInProcessServer(t), "env")
}

// rushOn is a rush at a repository of a host.
func rushOn(server *gittest.Server, name string) *rush {
	var chart strings.Builder
	chart.WriteString("apiVersion: v2\nname: env\nversion: 0.1.0\ndependencies:\n")
	for i := range writers {
		fmt.Fprintf(&chart, "- name: app-%02d\n  version: 1.0.0\n  repository: https://charts.example.com\n", i)
	}
	return &rush{server: server, repository: server.Create(name, gittest.Files{"Chart.yaml": chart.String()})}
}

// remote is the way of one writer to the repository.
func (r *rush) remote(t *testing.T) *git.Remote {
	t.Helper()
	return r.remoteOf(t, robotsToken)
}

// robotsToken is long enough for seals.
const robotsToken = "the-token-of-the-robot"

// remoteOf is the way of one with another token.
func (r *rush) remoteOf(t *testing.T, token string) *git.Remote {
	t.Helper()
	remote, err := git.NewRemote(r.url(token), git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	return remote
}

func (r *rush) url(token string) string {
	if !strings.HasPrefix(r.repository.URL, "http") {
		return r.repository.URL
	}
	return r.repository.WithUser("robot", token)
}

// promote is one writer in a world of its own.
func (r *rush) promote(ctx context.Context, i int) (promotion.Landed, error) {
	return r.promoteWith(ctx, i, nil)
}

func (r *rush) promoteWith(ctx context.Context, i int, key *signature.Key) (promotion.Landed, error) {
	remote, err := git.NewRemote(r.url(robotsToken), git.Access{})
	if err != nil {
		return promotion.Landed{}, err
	}
	return r.promotion(i, key).Into(ctx, promotion.Target{Environment: "staging", Remote: remote, Path: "."})
}

// promotion is what a writer wants.
func (r *rush) promotion(i int, key *signature.Key) promotion.Promotion {
	return promotion.Promotion{
		Application: appOf(i), Chart: edit.Selector{Name: appOf(i)}, Version: versionOf(i), Patience: 2 * time.Minute,
		Author: git.Signature{Name: fmt.Sprintf("Writer %d", i), Email: "writer@example.com"}, Run: fmt.Sprintf("ci/%d", i),
		Key: key,
	}
}

// atOnce runs n writers together and wants none to fail.
func atOnce(t *testing.T, n int, write func(i int) (promotion.Landed, error)) []promotion.Landed {
	t.Helper()
	landed, errs := make([]promotion.Landed, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { landed[i], errs[i] = write(i) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return landed
}

// check wants the branch to hold what was acknowledged, in one line.
func (r *rush) check(t *testing.T, landed []promotion.Landed) {
	t.Helper()
	history := strings.Fields(r.repository.Git("log", "--format=%H", "main"))
	if merges := r.repository.Git("log", "--merges", "--format=%H", "main"); merges != "" {
		t.Errorf("the history has merges: %s", merges)
	}
	highest := map[string]int{}
	for i, l := range landed {
		highest[appOf(i)] = i
		if !slices.Contains(history, string(l.Commit)) {
			t.Errorf("%s %s ended as %s at %s, which is not in the branch's history", appOf(i), versionOf(i), l.Outcome, l.Commit)
			continue
		}
		if l.Outcome == promotion.Promoted {
			message := r.repository.Git("show", "-s", "--format=%an%n%B", string(l.Commit))
			for _, want := range []string{
				fmt.Sprintf("Writer %d\n", i), "chore: promote " + appOf(i) + " to version " + versionOf(i), fmt.Sprintf("Lockstep-Run: ci/%d", i),
			} {
				if !strings.Contains(message, want) {
					t.Errorf("the commit of %s does not say %q:\n%s", appOf(i), want, message)
				}
			}
			if stat := r.repository.Git("show", "--numstat", "--format=", string(l.Commit)); stat != "1\t1\tChart.yaml" {
				t.Errorf("the commit of %s changes %q", appOf(i), stat)
			}
		}
	}
	chart := r.repository.File("main", "Chart.yaml")
	for app, i := range highest {
		if !strings.Contains(chart, "- name: "+app+"\n  version: "+versionOf(i)+"\n") {
			t.Errorf("%s is not at %s:\n%s", app, versionOf(i), chart)
		}
	}
}

// wantNoRequests is what there is when all writers have ended.
func (r *rush) wantNoRequests(t *testing.T) {
	t.Helper()
	if left := r.repository.Git("for-each-ref", "refs/lockstep/requests"); left != "" {
		t.Errorf("requests are left:\n%s", left)
	}
}

// TestRow01_ManyWritersShareTheirPushes starts many writers at once. Each has a
// commit of its own in the end, and there were fewer pushes than writers.
func TestRow01_ManyWritersShareTheirPushes(t *testing.T) {
	r := rushOn(gittest.NewServer(t), "env")
	r.repository.Git("config", "core.logAllRefUpdates", "always")
	r.check(t, atOnce(t, writers, func(i int) (promotion.Landed, error) { return r.promote(t.Context(), i) }))
	r.wantNoRequests(t)
	log, err := os.ReadFile(filepath.Join(r.server.Dir, "env.git", "logs", "refs", "heads", "main"))
	if err != nil {
		t.Fatal(err)
	}
	updates := strings.Count(string(log), "\n")
	t.Logf("%d writers, %d updates of the branch, %d requests", writers, updates, r.server.Count(func(gittest.Request) bool { return true }))
	if updates > writers/2 {
		t.Errorf("%d writers needed %d updates of the branch", writers, updates)
	}
}

// TestRow17_WritersDieAtAnyMoment ends writers and breaks their requests off at
// random. What they did not hear of they do again, and everything is there
// once.
func TestRow17_WritersDieAtAnyMoment(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(17, 4))
	chance := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
	r.server.Before(func(http.ResponseWriter, *http.Request) bool {
		if chance(25) == 0 {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	r.check(t, atOnce(t, writers, func(i int) (promotion.Landed, error) {
		for range chance(3) {
			life, cancel := context.WithTimeout(t.Context(), time.Duration(1+chance(1500))*time.Millisecond)
			_, _ = r.promote(life, i)
			cancel()
		}
		return r.promote(t.Context(), i)
	}))
	// One that died may have left a request. The next promotion takes it away.
	next := promotion.Promotion{
		Application: "app-01", Chart: edit.Selector{Name: "app-01"}, Version: "2.0.0", Patience: 2 * time.Minute,
		Author: git.Signature{Name: "Next", Email: "next@example.com"},
	}
	if _, err := next.Into(t.Context(), promotion.Target{Environment: "staging", Remote: r.remote(t), Path: "."}); err != nil {
		t.Fatal(err)
	}
	r.wantNoRequests(t)
	subjects := strings.Split(r.repository.Git("log", "--format=%s", "main"), "\n")
	slices.Sort(subjects)
	if once := slices.Compact(slices.Clone(subjects)); len(once) != len(subjects) {
		t.Errorf("something was committed twice:\n%s", strings.Join(subjects, "\n"))
	}
}

// leave puts a request into the repository as its writer would, and dies.
func (r *rush) leave(t *testing.T, id, seal, text string) {
	t.Helper()
	r.server.Create("request-"+id, gittest.Files{"request.json": text, "seal": seal})
	r.repository.Git("fetch", "-q", filepath.Join(r.server.Dir, "request-"+id+".git"), "main:"+requestRef(id))
}

func requestRef(id string) string { return promotion.RequestsOf("refs/heads/main") + id }

// sealed makes a request of app-01 by the credential of a remote.
func sealed(t *testing.T, remote *git.Remote, made time.Time) (id, seal, text string) {
	t.Helper()
	id, ok := promotion.NewID(remote, "refs/heads/main", made)
	if !ok {
		t.Fatal("this credential makes no seals")
	}
	encoded, err := json.Marshal(map[string]any{
		"id": id, "branch": "refs/heads/main", "made": made,
		"intent":  promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "app-01", From: "1.0.0", To: "6.6.6"},
		"message": promotion.Message{Text: "chore: promote app-01 to version 6.6.6"}, "author": git.Signature{Name: "Dead", Email: "dead@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	seal, _ = remote.Seal(encoded)
	return id, seal, string(encoded)
}

// TestRequestsOfTheDeadAndOfStrangers: a request that its writer left is carried
// out by the next one; an old one is dropped; one that another credential made,
// or that was changed, is left alone.
func TestRequestsOfTheDeadAndOfStrangers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		age     time.Duration
		spoil   func(id, seal, text string) (string, string, string)
		foreign bool
		held    bool
		carried bool
		left    bool
	}{
		"of a writer that died": {carried: true},
		"of long ago":           {age: time.Hour},
		"of what is held":       {held: true},
		"of a stranger":         {foreign: true, left: true},
		"changed": {left: true, spoil: func(id, seal, text string) (string, string, string) {
			return id, seal, strings.Replace(text, "6.6.6", "6.6.7", 1)
		}},
		"moved to another id": {left: true, spoil: func(id, seal, text string) (string, string, string) {
			return "000000000000" + id[12:], seal, text
		}},
		"no request at all": {left: true, spoil: func(id, _, _ string) (string, string, string) { return id, "", "{" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRush(t)
			maker := r.remote(t)
			if test.foreign {
				maker = r.remoteOf(t, strings.Repeat("x", 40))
			}
			id, seal, text := sealed(t, maker, time.Now().Add(-test.age))
			if test.spoil != nil {
				id, seal, text = test.spoil(id, seal, text)
			}
			if test.held {
				r.repository.Commit("chore: hold app-01", gittest.Files{heldFile: `{"holds":[{"application":"app-01"}]}`})
			}
			r.leave(t, id, seal, text)
			if _, err := r.promote(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			chart := r.repository.File("main", "Chart.yaml")
			if got := strings.Contains(chart, "6.6."); got != test.carried {
				t.Errorf("carried out: %v, want %v:\n%s", got, test.carried, chart)
			}
			if !strings.Contains(chart, "1.1.0") {
				t.Errorf("our own promotion is not there:\n%s", chart)
			}
			if left := r.repository.Git("for-each-ref", "refs/lockstep/requests"); (left != "") != test.left {
				t.Errorf("left: %q, want %v", left, test.left)
			}
		})
	}
}

// TestEveryKindOfServer promotes where there is no version 2 of the protocol,
// and where there is no server at all.
func TestEveryKindOfServer(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*rush) (url string){
		"protocol version 0": func(r *rush) string { r.server.OldProtocol(); return r.repository.URL },
		"a folder":           func(r *rush) string { return r.repository.Dir },
		"no requests": func(r *rush) string {
			r.repository.Hook("update", "case $1 in refs/lockstep/*) exit 1 ;; esac")
			return r.repository.URL
		},
		"no atomic pushes": func(r *rush) string {
			r.repository.Git("config", "receive.advertiseAtomic", "false")
			r.repository.Hook("update", "echo $1 >>updates")
			return r.repository.URL
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rushOn(gittest.NewServer(t), "env")
			r.repository.URL = prepare(r)
			r.check(t, atOnce(t, 4, func(i int) (promotion.Landed, error) { return r.promote(t.Context(), i) }))
			r.wantNoRequests(t)
			if seen, err := os.ReadFile(filepath.Join(r.repository.Dir, "updates")); err == nil && strings.Contains(string(seen), "refs/lockstep/") {
				t.Errorf("a request was left where none can be carried out safely:\n%s", seen)
			}
		})
	}
}

// TestRow16_AWriterThatGivesUpTakesItsRequestBack: somebody else's request is
// in front, so ours waits, and is gone when nobody waits for it any more.
func TestRow16_AWriterThatGivesUpTakesItsRequestBack(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	id, seal, text := sealed(t, r.remote(t), time.Now())
	r.leave(t, id, seal, text)
	ctx, cancel := context.WithCancel(t.Context())
	var waits bool
	r.server.Before(func(_ http.ResponseWriter, req *http.Request) bool {
		if !waits && len(strings.Fields(r.repository.Git("for-each-ref", "--format=%(refname)", "refs/lockstep/requests"))) == 2 {
			waits = true
			cancel()
		}
		return false
	})
	if _, err := r.promote(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it to be stopped", err)
	}
	if left := r.repository.Git("for-each-ref", "--format=%(refname)", "refs/lockstep/requests"); left != requestRef(id) {
		t.Errorf("left: %q, want only the other's", left)
	}
}

// TestAWriterAtManyRequestsIsNotTakenForDead: the one whose turn it is may be at
// all these commits, so nobody overtakes it as fast as one with a single request.
func TestAWriterAtManyRequestsIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	const before = 20
	r := newRush(t)
	for range before {
		id, seal, text := sealed(t, r.remote(t), time.Now())
		r.leave(t, id, seal, text)
	}
	start := time.Now()
	if _, err := r.promote(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(start); waited < before*promotion.StandstillPerRequest {
		t.Errorf("the writer waited only %s for one that is at %d requests", waited, before)
	}
	r.wantNoRequests(t)
}
