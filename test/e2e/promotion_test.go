//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/test/site"
)

// The first three are deployed; of the others only Git is looked at.
var (
	qa            = site.Environment{Name: "qa", Namespace: "acme-qa"}
	uat           = site.Environment{Name: "uat", Namespace: "acme-uat"}
	preproduction = site.Environment{Name: "preproduction", Namespace: "acme-preproduction"}
	nightly       = site.Environment{Name: "nightly", Namespace: "acme-nightly"}
	archive       = site.Environment{Name: "archive", Namespace: "acme-archive"}
)

// TestPromotionBetweenEnvironments follows one version from its push into every
// environment that environments.yaml has, each in its own way: staging and qa
// take it by themselves, production when somebody merges a pull request, uat
// when somebody asks, preproduction when both qa and uat have verified it,
// nightly when its gates open, archive never.
func TestPromotionBetweenEnvironments(t *testing.T) {
	ctx := deadline(t)
	c := startClock(t)
	s := scenario{T: t, clock: c, person: newPerson(t, shared.Gitea.URL, c.url)}
	t.Cleanup(s.report)
	s.setUp(ctx)

	// Runs of different environments are under way at the same time.
	s.release(ctx)
	s.never(ctx)
	s.verified(ctx, shared.Staging(), s.commits["staging"])
	merged := s.pullRequest(ctx)
	s.verified(ctx, qa, s.commits["qa"])
	s.joinWaits(ctx)
	s.gates(ctx)
	commit, err := shared.Promote(ctx, "user-service", s.version, uat)
	if err != nil {
		t.Fatal(err)
	}
	s.verified(ctx, uat, commit)
	s.verified(ctx, preproduction, s.joined(ctx))
	s.verified(ctx, shared.Production(), merged)
}

// scenario is the version that is followed.
type scenario struct {
	*testing.T
	clock  *clock
	person person

	before         map[string]string // tips of the environments before the push
	version, token string
	commits        map[string]string // that the push came to, by environment
}

// setUp adds the environments and says how versions get into them. qa and
// nightly are on the host whose clock the test sets.
func (s *scenario) setUp(ctx context.Context) {
	s.Helper()
	for _, e := range []site.Environment{nightly, archive} {
		if err := shared.AddRepository(ctx, e); err != nil {
			s.Fatal(err)
		}
	}
	if err := shared.Add(ctx, qa, uat, preproduction); err != nil {
		s.Fatal(err)
	}
	if err := shared.Declare(ctx, s.entries()...); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := shared.Declare(context.Background(), shared.Entries()...); err != nil {
			s.Error(err)
		}
	})
	s.before = map[string]string{}
	for _, e := range everywhere() {
		s.before[e.Name] = environmentTip(s.T, ctx, e)
	}
}

func everywhere() []site.Environment { return slices.Concat(shared.Environments, further) }

func (s *scenario) entries() []environment.Environment {
	entries := shared.Entries() // staging is Auto
	production := &entries[1]
	production.Delivery, production.After = environment.ByPullRequest, []string{"staging"}

	inQA, inPreproduction, inNightly, inArchive := shared.Entry(qa), shared.Entry(preproduction), shared.Entry(nightly), shared.Entry(archive)
	inQA.Promotion, inQA.Repository = environment.Auto, s.clock.repository(qa.Repository())
	inPreproduction.Promotion, inPreproduction.After = environment.Auto, []string{"qa", "uat"}
	inNightly.Repository, inNightly.After = s.clock.repository(nightly.Repository()), []string{"qa"}
	inNightly.Soak, inNightly.Windows = environment.Duration(soak), []environment.Window{wholeDay(s.opens())}
	inArchive.Promotion = environment.Never
	return append(entries, inQA, shared.Entry(uat), inPreproduction, inNightly, inArchive)
}

// soak of nightly. A version gets in on the day after tomorrow at the earliest,
// long after the soak.
const soak = 2 * time.Hour

// opens is noon of that day.
func (s *scenario) opens() time.Time {
	return s.clock.start.UTC().Truncate(24*time.Hour).AddDate(0, 0, 2).Add(12 * time.Hour)
}

func wholeDay(t time.Time) environment.Window {
	return environment.Window{Days: 1 << t.Weekday(), Hours: environment.Hours{To: 24 * 60}}
}

// release pushes a change. The version gets into what is Auto and nowhere else;
// where a gate is closed, it waits.
func (s *scenario) release(ctx context.Context) {
	s.Helper()
	var commit string
	commit, s.token = pushAnswer(s.T, ctx, clone(s.T, ctx, "user-service"))
	build := finish(s.T, ctx, shared.Applications, commit, true)
	s.version = build.Result("version")
	var outcomes []outcome
	if err := json.Unmarshal([]byte(build.Result("outcomes")), &outcomes); err != nil {
		s.Fatalf("outcomes %q: %v", build.Result("outcomes"), err)
	}
	became := map[string]string{}
	s.commits = map[string]string{}
	for _, o := range outcomes {
		became[o.Environment], s.commits[o.Environment] = o.Outcome, o.Commit
	}
	if want := map[string]string{"staging": "promoted", "qa": "promoted", "preproduction": "waiting"}; !maps.Equal(became, want) {
		s.Fatalf("the push came to %v, want %v", became, want)
	}
	s.pushedBy(ctx, shared.Staging())
	s.waits(ctx, preproduction, true)
	for _, e := range []site.Environment{shared.Production(), uat, preproduction, nightly, archive} {
		s.untouched(ctx, e)
	}
}

// pushedBy wants the promotion to be by the person whom Gitea's webhook names.
func (s *scenario) pushedBy(ctx context.Context, e site.Environment) {
	s.Helper()
	who, err := clone(s.T, ctx, e.Repository()).Git(ctx, "log", "-1", "--format=%an, %cn <%ce>", s.commits[e.Name])
	if want := shared.Gitea.User + ", Lockstep <lockstep@lockstep.dev>"; err != nil || who != want {
		s.Errorf("the promotion to %s is by %q, %v; want %q", e.Name, who, err, want)
	}
}

// never asks for the environment that takes nothing.
func (s *scenario) never(ctx context.Context) {
	s.Helper()
	if _, said := s.person.promote(ctx, 3, "user-service", "--version", s.version, "--env", archive.Name); !strings.Contains(said, "its strategy is Never") {
		s.Errorf("the refusal does not say why:\n%s", said)
	}
	if outcomes, _ := s.person.promote(ctx, 0, "user-service", "--version", s.version, "--all", "--dry-run"); slices.ContainsFunc(outcomes, func(o outcome) bool { return o.Environment == archive.Name }) {
		s.Errorf("--all means archive as well: %+v", outcomes)
	}
	s.waits(ctx, archive, false)
	s.untouched(ctx, archive)
}

// joinWaits looks at preproduction when qa has verified the version and uat has
// not even got it.
func (s *scenario) joinWaits(ctx context.Context) {
	s.Helper()
	o := s.person.one(ctx, "waiting", "--waiting", "--dry-run", "--env", preproduction.Name)
	if !strings.Contains(o.Reason, "after: uat has not verified") || strings.Contains(o.Reason, "qa") {
		s.Errorf("preproduction waits for %q, want uat alone", o.Reason)
	}
	s.waits(ctx, preproduction, true)
	s.untouched(ctx, preproduction)
}

// joined is the commit with which preproduction followed by the end of uat's run.
func (s *scenario) joined(ctx context.Context) string {
	s.Helper()
	s.waits(ctx, preproduction, false)
	s.promotion(ctx, preproduction)
	return environmentTip(s.T, ctx, preproduction)
}

// gates brings the version into nightly while the Git host's clock goes on: its
// soak ends first, and then its window opens.
func (s *scenario) gates(ctx context.Context) {
	s.Helper()
	again := []string{"--waiting", "--env", nightly.Name}
	closed := func(o outcome, want, not string) {
		s.Helper()
		if !strings.Contains(o.Reason, want) || not != "" && strings.Contains(o.Reason, not) {
			s.Errorf("nightly waits for %q, want %q and not %q", o.Reason, want, not)
		}
		s.waits(ctx, nightly, true)
		s.untouched(ctx, nightly)
	}
	closed(s.person.one(ctx, "waiting", "user-service", "--version", s.version, "--env", nightly.Name), "soak: ", "")
	closed(s.person.one(ctx, "waiting", again...), "windows: ", "")
	s.clock.set(time.Now().Add(soak + time.Minute))
	closed(s.person.one(ctx, "waiting", again...), "windows: ", "soak: ")
	s.clock.set(s.opens())
	o := s.person.one(ctx, "promoted", again...)
	if tip := environmentTip(s.T, ctx, nightly); o.Commit != tip {
		s.Errorf("nightly is at %s, promoted was %s", tip, o.Commit)
	}
	s.waits(ctx, nightly, false)
	s.promotion(ctx, nightly)
	if outcomes, _ := s.person.promote(ctx, 0, again...); len(outcomes) > 0 {
		s.Errorf("nothing waits any more, and yet: %+v", outcomes)
	}
}

// waits wants the version to wait for an environment, or nothing to.
func (s *scenario) waits(ctx context.Context, e site.Environment, want bool) {
	s.Helper()
	refs, err := clone(s.T, ctx, e.Repository()).Git(ctx, "ls-remote", "origin", "refs/lockstep/waiting/*")
	if err != nil {
		s.Fatal(err)
	}
	if _, name, _ := strings.Cut(refs, "\t"); want && name != "refs/lockstep/waiting/"+e.Name+"/user-service" || !want && refs != "" {
		s.Errorf("in the repository of %s waits %q, want the version to: %v", e.Name, refs, want)
	}
}

// untouched wants an environment's branch to be where it was before the push.
func (s *scenario) untouched(ctx context.Context, e site.Environment) {
	s.Helper()
	if tip := environmentTip(s.T, ctx, e); tip != s.before[e.Name] {
		s.Errorf("%s went from %s to %s", e.Name, s.before[e.Name], tip)
	}
}

// promotion wants an environment's branch to have got one commit, the promotion.
func (s *scenario) promotion(ctx context.Context, e site.Environment) {
	s.Helper()
	log, err := clone(s.T, ctx, e.Repository()).Git(ctx, "log", "--format=%B%x00", s.before[e.Name]+"..HEAD")
	if err != nil {
		s.Fatal(err)
	}
	messages := strings.Split(strings.TrimSuffix(log, "\x00"), "\x00")
	if len(messages) != 1 {
		s.Fatalf("%s got %d commits, want 1:\n%s", e.Name, len(messages), log)
	}
	s.says(messages[0], "chore: promote user-service to version "+s.version, "Lockstep-Operation: promote",
		"Lockstep-Environment: "+e.Name, "Lockstep-Application: user-service", "Lockstep-Version: "+s.version)
}

// says wants lines in a text.
func (s *scenario) says(text string, lines ...string) {
	s.Helper()
	for _, line := range lines {
		if !slices.Contains(strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), line) {
			s.Errorf("there is no line %q in\n%s", line, text)
		}
	}
}

// verified wants the run of a commit to end well, its version to answer, and the
// record to say so.
func (s *scenario) verified(ctx context.Context, e site.Environment, commit string) {
	s.Helper()
	finish(s.T, ctx, e.RunNamespace(), commit, true)
	if version, err := shared.Version(ctx, e, "user"); version != s.version {
		s.Errorf("%s has user-service %q, %v; want %s", e.Name, version, err, s.version)
	}
	if got, err := shared.Answer(ctx, e, "user"); !strings.Contains(got, s.token) {
		s.Errorf("%s answers %q, %v; want %s", e.Name, got, err, s.token)
	}
	if note := environmentNote(s.T, ctx, e, commit); !strings.Contains(note, `"state":"verified"`) {
		s.Errorf("deployment record of %s: %q", e.Name, note)
	}
}

// report shows what is where when the test has failed.
func (s *scenario) report() {
	if !s.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, what := range []string{"pipelineruns,taskruns", "pods"} {
		out, err := shared.Kubectl(ctx, "get", what, "--all-namespaces")
		s.Logf("%s: %v\n%s", what, err, out)
	}
	for _, e := range everywhere() {
		s.reportOn(ctx, e)
	}
}

// reportOn shows an environment's refs, and the logs of its last run unless that
// ended well.
func (s *scenario) reportOn(ctx context.Context, e site.Environment) {
	if c, err := shared.Clone(ctx, e.Repository(), s.TempDir()); err == nil {
		refs, err := c.Git(ctx, "ls-remote", "origin")
		s.Logf("%s, before the push at %s: %v\n%s", e.Repository(), s.before[e.Name], err, refs)
	}
	runs, err := shared.Runs(ctx, e.RunNamespace())
	if err != nil || len(runs) == 0 {
		return
	}
	if last := runs[len(runs)-1]; !last.Well {
		s.Logf("run %s/%s: %s\n%s", last.Namespace, last.Name, last.Why, shared.Logs(ctx, last))
	}
}
