package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// generator is the version of what fixtures contain: it is in the name of the
// cached ones, so that a change makes new ones.
const generator = 3

// fixture is an environment repository: an umbrella chart in the
// requirements.yaml form, and a history in which every commit promotes one
// application. It is bare, packed, and never written to again.
type fixture struct {
	Name         string
	Dependencies int
	Commits      int
	Dir          string
	Tip          string
	PackBytes    int64
}

var sizes = map[string]fixture{
	"tiny": {Name: "tiny", Dependencies: 12, Commits: 20},
	"S":    {Name: "S", Dependencies: 100, Commits: 5_000},
	"L":    {Name: "L", Dependencies: 500, Commits: 20_000},
	"XL":   {Name: "XL", Dependencies: 100, Commits: 840_000},
}

// prepare makes the fixture, or finds it in the cache below dir.
func (f fixture) prepare(ctx context.Context, dir string) (fixture, error) {
	f.Dir = filepath.Join(dir, fmt.Sprintf("environment-%s-%d.git", f.Name, generator))
	if _, err := os.Stat(f.Dir); err != nil {
		if err := f.make(ctx); err != nil {
			return f, fmt.Errorf("make fixture %s: %w", f.Name, err)
		}
	}
	tip, err := git(ctx, f.Dir, "rev-parse", "main")
	if err != nil {
		return f, err
	}
	f.Tip = tip
	packs, err := filepath.Glob(filepath.Join(f.Dir, "objects/pack/*.pack"))
	if err != nil {
		return f, err
	}
	for _, pack := range packs {
		info, err := os.Stat(pack)
		if err != nil {
			return f, err
		}
		f.PackBytes += info.Size()
	}
	return f, nil
}

// make imports the history into a folder beside its place and moves it there
// when it is whole.
func (f fixture) make(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(f.Dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(f.Dir), "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := git(ctx, work, "init", "-q", "--bare", "-b", "main", "."); err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() {
		buffered := bufio.NewWriterSize(writer, 1<<20)
		err := f.stream(buffered)
		if err == nil {
			err = buffered.Flush()
		}
		writer.CloseWithError(err)
	}()
	if _, err := gitFrom(ctx, work, reader, "fast-import", "--quiet", "--depth=50"); err != nil {
		return err
	}
	for _, args := range f.upkeep() {
		if _, err := git(ctx, work, args...); err != nil {
			return err
		}
	}
	if err := indexReverse(ctx, work); err != nil {
		return err
	}
	return os.Rename(work, f.Dir)
}

// upkeep is what a Git host does to a repository at rest. Repacking 840,000
// commits takes longer than all measurements; fast-import's pack is good.
func (f fixture) upkeep() [][]string {
	all := [][]string{
		{"config", "http.receivepack", "true"},
		{"config", "core.logAllRefUpdates", "always"},
		{"commit-graph", "write", "--reachable"},
		{"pack-refs", "--all"},
	}
	if f.Commits <= 100_000 {
		all = append(all, []string{"repack", "-a", "-d", "-q", "--write-bitmap-index"})
	}
	return all
}

// indexReverse writes the reverse index of packs that have none: Git does so by
// itself since version 2.41. Without it, every fetch sorts the offsets of all
// objects first.
func indexReverse(ctx context.Context, repository string) error {
	packs, err := filepath.Glob(filepath.Join(repository, "objects/pack/*.pack"))
	if err != nil {
		return err
	}
	for _, pack := range packs {
		if _, err := os.Stat(strings.TrimSuffix(pack, ".pack") + ".rev"); err == nil {
			continue
		}
		if _, err := git(ctx, repository, "index-pack", "--rev-index", pack); err != nil {
			return err
		}
	}
	return nil
}

// stream writes the history for git fast-import. The same seed gives the same
// commits everywhere.
func (f fixture) stream(w *bufio.Writer) error {
	random := rand.New(rand.NewPCG(2026, uint64(f.Dependencies)))
	r := newRequirements(f.Dependencies)
	fmt.Fprintf(w, "commit refs/heads/main\ncommitter Bench <bench@example.com> 1700000000 +0000\n")
	data(w, "chore: create environment\n")
	for _, file := range still(f.Dependencies, random) {
		fmt.Fprintf(w, "M 100644 inline %s\n", file.path)
		data(w, file.content)
	}
	fmt.Fprintf(w, "M 100644 inline requirements.yaml\n")
	data(w, r.text())
	for i := 1; i < f.Commits; i++ {
		app := random.IntN(f.Dependencies)
		r.bump(app)
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter Bench <bench@example.com> %d +0000\n", 1_700_000_000+60*i)
		data(w, fmt.Sprintf("chore: promote %s to version %s\n", application(app), r.version(app)))
		fmt.Fprintf(w, "M 100644 inline requirements.yaml\n")
		data(w, r.text())
	}
	_, err := fmt.Fprintln(w, "done")
	return err
}

func data(w *bufio.Writer, text string) { fmt.Fprintf(w, "data %d\n%s\n", len(text), text) }

func application(i int) string { return fmt.Sprintf("service-%03d", i) }

// requirements is the file that every promotion changes.
type requirements struct {
	patch []int
	entry []string
}

func newRequirements(n int) *requirements {
	r := &requirements{patch: make([]int, n), entry: make([]string, n)}
	for i := range n {
		r.render(i)
	}
	return r
}

func (r *requirements) bump(i int) {
	r.patch[i]++
	r.render(i)
}

func (r *requirements) version(i int) string { return fmt.Sprintf("1.%d.%d", i%7, r.patch[i]) }

func (r *requirements) render(i int) {
	r.entry[i] = fmt.Sprintf("- name: %s\n  version: %s\n  repository: https://charts.example.com/team-%d\n",
		application(i), r.version(i), i%9)
}

func (r *requirements) text() string { return "dependencies:\n" + strings.Join(r.entry, "") }

type namedText struct{ path, content string }

// still are the files that promotions leave alone: values of each application,
// and a sealed secret each, which does not compress.
func still(n int, random *rand.Rand) []namedText {
	files := []namedText{
		{"Chart.yaml", "apiVersion: v1\nname: environment\ndescription: All services of one environment\nversion: 0.1.0\n"},
		{"README.md", "# Environment\n\nThe services of one environment and their versions.\n"},
	}
	var values strings.Builder
	for i := range n {
		fmt.Fprintf(&values, "%s:\n  replicas: %d\n  resources:\n    requests:\n      cpu: %dm\n      memory: %dMi\n  ingress:\n    host: %s.example.com\n",
			application(i), 1+random.IntN(5), 10*(1+random.IntN(90)), 16*(1+random.IntN(60)), application(i))
		secret := make([]byte, 420)
		for at := range secret {
			secret[at] = byte(random.Uint32())
		}
		files = append(files, namedText{"templates/" + application(i) + "-secret.yaml", fmt.Sprintf(
			"apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: %s\nspec:\n  encryptedData:\n    token: %s\n",
			application(i), base64.StdEncoding.EncodeToString(secret))})
	}
	return append(files, namedText{"values.yaml", values.String()})
}
