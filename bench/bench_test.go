package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newTestLab is a lab with a tiny fixture and the programs of one promotion.
func newTestLab(t *testing.T) (*lab, fixture) {
	t.Helper()
	dir := t.TempDir()
	f, err := sizes["tiny"].prepare(t.Context(), dir)
	ok(t, err)
	root, err := moduleRoot(t.Context())
	ok(t, err)
	programs := t.TempDir()
	ok(t, build(t.Context(), root, programs, "./bench/measure", "./bench/gogit", "./steps/clone", "./steps/bump-version", "./steps/commit", "./steps/promote"))
	l, err := newLab(dir, programs)
	ok(t, err)
	t.Cleanup(l.close)
	return l, f
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContenders(t *testing.T) {
	l, f := newTestLab(t)
	t.Run("leave equal trees", func(t *testing.T) { leaveEqualTrees(t, l, f) })
	t.Run("with another tree do not count", func(t *testing.T) { anotherTreeDoesNotCount(t, l, f) })
	t.Run("land many writers", func(t *testing.T) { landManyWriters(t, l, f) })
	t.Run("that lose a promotion or merge do not count", func(t *testing.T) { lostPromotionDoesNotCount(t, l, f) })
	t.Run("that were killed land as well", func(t *testing.T) { killedWritersLand(t, l, f) })
	t.Run("are weighed", func(t *testing.T) { areWeighed(t, l, f) })
}

func leaveEqualTrees(t *testing.T, l *lab, f fixture) {
	result, err := l.promotions(t.Context(), condition{f, 2 * time.Millisecond}, single(), 0, 1)
	ok(t, err)
	for _, s := range result.Series {
		if s.Wrong != 0 || len(s.Trials) != 1 {
			t.Errorf("%s: %d runs count, %d are wrong", s.Contender.Name, len(s.Trials), s.Wrong)
			continue
		}
		if got := s.Trials[0]; got.Requests < 3 || got.Connections < 1 || got.Up < 500 || got.Down < f.PackBytes/4 || got.MaxRSS == 0 || got.Wall == 0 {
			t.Errorf("%s: not everything was counted: %+v", s.Contender.Name, got)
		}
	}
}

func anotherTreeDoesNotCount(t *testing.T, l *lab, f fixture) {
	fails := contender{Name: "fails", Script: "exit 3"}
	idle := contender{Name: "does nothing", Script: "true"}
	other := contender{Name: "promotes another version", Script: "VERSION=2.0.0\n" + single()[1].Script}
	result, err := l.promotions(t.Context(), condition{f, 0}, []contender{fails, idle, other}, 0, 1)
	ok(t, err)
	for _, s := range result.Series {
		if s.Wrong != 1 || len(s.Trials) != 0 {
			t.Errorf("%s: %d runs count, %d are wrong", s.Contender.Name, len(s.Trials), s.Wrong)
		}
	}
}

func landManyWriters(t *testing.T, l *lab, f fixture) {
	l.link.setRoundTrip(0)
	result, err := l.rushes(t.Context(), f, many(), 3, 1, false)
	ok(t, err)
	for _, s := range result {
		if s.Wrong != 0 || len(s.Rushes) != 1 {
			t.Fatalf("%s: %d runs count, %d are wrong", s.Contender.Name, len(s.Rushes), s.Wrong)
		}
		got := s.Rushes[0]
		if s.Contender.Aside {
			if got.Updates != 0 || got.Pushes != 3 || got.Requests != 6 {
				t.Errorf("%s: %+v", s.Contender.Name, got)
			}
			continue
		}
		if got.Updates < 1 || got.Updates > 3 || got.Pushes < got.Updates {
			t.Errorf("%s: %+v", s.Contender.Name, got)
		}
	}
}

func lostPromotionDoesNotCount(t *testing.T, l *lab, f fixture) {
	idle := contender{Name: "does nothing", Script: "true"}
	merges := contender{Name: "merges", Script: strings.Replace(single()[2].Script, "git push",
		"git checkout -q -b side HEAD^\ngit merge -q --no-ff -m merge main\ngit push", 1)}
	intrudes := contender{Name: "promotes where it should not", Aside: true, Script: single()[1].Script}
	result, err := l.rushes(t.Context(), f, []contender{idle, merges, intrudes}, 1, 1, false)
	ok(t, err)
	for _, s := range result {
		if s.Wrong != 1 || len(s.Rushes) != 0 {
			t.Errorf("%s: %d runs count, %d are wrong", s.Contender.Name, len(s.Rushes), s.Wrong)
		}
	}
}

func killedWritersLand(t *testing.T, l *lab, f fixture) {
	result, err := l.rushes(t.Context(), f, many()[:1], 4, 1, true)
	ok(t, err)
	if result[0].Wrong != 0 {
		t.Error("a killed writer that ran again did not land")
	}
}

func areWeighed(t *testing.T, l *lab, f fixture) {
	weights, err := l.weights(t.Context(), []string{"clone"}, 0, 1)
	ok(t, err)
	for _, w := range weights {
		if w.Compressed <= 0 || w.Compressed >= w.Binary || len(w.Starts) != 1 {
			t.Errorf("%+v", w)
		}
	}
	works, err := l.worksOf(t.Context(), f, 0, 1)
	ok(t, err)
	if len(works) != 3 || len(works[2].Used) != 1 {
		t.Errorf("%+v", works)
	}
}

func TestFixturesAreTheSameEverywhere(t *testing.T) {
	one, err := sizes["tiny"].prepare(t.Context(), t.TempDir())
	ok(t, err)
	dir := t.TempDir()
	two, err := sizes["tiny"].prepare(t.Context(), dir)
	ok(t, err)
	again, err := sizes["tiny"].prepare(t.Context(), dir)
	ok(t, err)
	if one.Tip != two.Tip || two.Tip != again.Tip {
		t.Errorf("the tips differ: %s, %s, %s", one.Tip, two.Tip, again.Tip)
	}
	if reverse, err := filepath.Glob(filepath.Join(one.Dir, "objects/pack/*.rev")); err != nil || len(reverse) != 1 {
		t.Errorf("%d packs have a reverse index, want 1, %v", len(reverse), err)
	}
	if count, err := git(t.Context(), one.Dir, "rev-list", "--count", "main"); err != nil || count != "20" {
		t.Errorf("%s commits, %v", count, err)
	}
}

func TestLinkDelaysAndCounts(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	l, err := newLink(server.Addr().String())
	ok(t, err)
	defer l.close()
	l.setRoundTrip(40 * time.Millisecond)
	start := time.Now()
	conn, err := net.Dial("tcp", l.listener.Addr().String())
	ok(t, err)
	defer conn.Close()
	answer := make([]byte, 5)
	for range 2 {
		_, err = io.WriteString(conn, "hello")
		ok(t, err)
		_, err = io.ReadFull(conn, answer)
		ok(t, err)
	}
	if took := time.Since(start); took < 120*time.Millisecond {
		t.Errorf("a handshake and two answers took %v, want three round trips", took)
	}
	ok(t, conn.(*net.TCPConn).CloseWrite())
	if _, err := conn.Read(answer); !errors.Is(err, io.EOF) {
		t.Errorf("the end does not come through: %v", err)
	}
	if l.connections.Load() != 1 || l.up.Load() != 10 || l.down.Load() != 10 {
		t.Errorf("%d connections, %d bytes up, %d down", l.connections.Load(), l.up.Load(), l.down.Load())
	}
}

func TestQuantilesAreMeasuredValues(t *testing.T) {
	values := []int64{9, 1, 5, 3, 7, 2, 8, 4, 6, 10}
	for q, want := range map[float64]int64{0: 1, 0.25: 3, 0.5: 5, 0.95: 10, 1: 10} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
	if got := median([]int64(nil)); got != 0 {
		t.Errorf("the median of nothing is %d", got)
	}
}

// sample are results as a run would give them.
func sample(t *testing.T) *results {
	root, err := moduleRoot(t.Context())
	ok(t, err)
	m, err := describe(context.Background(), root)
	ok(t, err)
	f := sizes["S"]
	r := &results{Machine: m, Plan: plan{CrowdsOn: f}}
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		result := promotionResult{condition: condition{f, delay}}
		for i, c := range single() {
			result.Series = append(result.Series, series{Contender: c, Trials: []trial{{usage: usage{Wall: delay + time.Duration(i+6)*time.Millisecond}}}})
		}
		r.Promotions = append(r.Promotions, result)
	}
	for _, writers := range []int{2, 100} {
		var group []contentionSeries
		for _, c := range many() {
			group = append(group, contentionSeries{Contender: c, Writers: writers, Rushes: []rush{{Wall: time.Duration(writers) * time.Second, Updates: 7}}})
		}
		r.Contention = append(r.Contention, group)
	}
	r.Weights = []weight{{Name: "clone", Kind: gitOnly, Compressed: 9_000_000, Starts: []usage{{Wall: 4 * time.Millisecond}}}}
	for i, n := range growthSizes {
		took := time.Duration(i+1) * time.Second
		r.Growth = append(r.Growth, growth{Applications: n, Promotions: []usage{{Wall: took}}, Deployments: []usage{{Wall: took}}})
	}
	return r
}

func TestTheReportSaysWhetherTargetsAreMet(t *testing.T) {
	text := sample(t).markdown()
	for _, want := range []string{
		"| B1, S, 50 ms | ≤ 0.6 × git --depth 1 | 0.98 × | not yet |",
		"| B1, S, 50 ms | ≤ 5 requests | 0 | yes |",
		"| B2, 100 writers, 50 ms | ≤ 3 s | 100.00 s | not yet |",
		"| B2, 100 writers, 50 ms | branch moved ≤ 20 times | 7 | yes |",
		"| B8, git only | ≤ 8.0 MB compressed | 9.0 MB (clone, the largest) | not yet |",
		"| B10, 10 → 100 applications, deployment | ≤ 10 × the time | 2.00 × | yes |",
		"| 1000 | 3000 | 3000–3000 | 20 | 3000 |",
		"is not part of this run: [RESULTS-XL.md](RESULTS-XL.md)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	host, err := os.Hostname()
	ok(t, err)
	home, err := os.UserHomeDir()
	ok(t, err)
	for _, private := range []string{host, home + "/"} {
		if strings.Contains(text, private) {
			t.Errorf("the report names this machine: %s", private)
		}
	}
}

func TestPlotsAreWellFormed(t *testing.T) {
	r := sample(t)
	for name, text := range map[string]string{"promotion": r.promotionPlot(), "contention": r.contentionPlot(), "weight": r.weightPlot()} {
		decoder := xml.NewDecoder(strings.NewReader(text))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s has a point that is no place:\n%s", name, text)
		}
	}
}
