package promotion_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// tree is a state of a repository in memory.
type tree map[string]string

func (t tree) Read(path string) ([]byte, error) {
	content, ok := t[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return []byte(content), nil
}

func (t tree) Exists(path string) (bool, error) { _, ok := t[path]; return ok, nil }

func list(version string) string {
	return "dependencies:\n- name: web\n  version: " + version + "\n  repository: https://a\n"
}

func TestRow02_WhatWins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		now, from, to string
		exact         bool
		want          promotion.Outcome
	}{
		"newer":                       {"1.0.0", "1.0.0", "1.0.1", false, promotion.Promoted},
		"newer, moved meanwhile":      {"1.0.1", "1.0.0", "1.0.2", false, promotion.Promoted},
		"there already":               {"1.0.1", "1.0.0", "1.0.1", false, promotion.Unchanged},
		"overtaken":                   {"1.0.2", "1.0.0", "1.0.1", false, promotion.Superseded},
		"ten is more than nine":       {"1.0.9", "1.0.9", "1.0.10", false, promotion.Promoted},
		"release after its candidate": {"1.0.0-rc.1", "1.0.0-rc.1", "1.0.0", false, promotion.Promoted},
		"candidate after its release": {"1.0.0", "1.0.0", "1.0.0-rc.1", false, promotion.Superseded},
		"another build":               {"1.0.0+a", "1.0.0+a", "1.0.0+b", false, promotion.Promoted},
		"lower at the start":          {"1.0.2", "1.0.2", "1.0.1", false, promotion.Superseded},
		"exact, lower":                {"1.0.2", "1.0.2", "1.0.1", true, promotion.Promoted},
		"exact, touched meanwhile":    {"1.0.0", "1.0.2", "1.0.1", true, promotion.Superseded},
		"exact, there already":        {"1.0.1", "1.0.2", "1.0.1", true, promotion.Unchanged},
		"range replaced":              {"^1.0.0", "^1.0.0", "2.0.0", false, promotion.Promoted},
		"range written meanwhile":     {"^1.0.0", "1.0.0", "1.0.1", false, promotion.Superseded},
	} {
		t.Run(name, func(t *testing.T) {
			i := promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", From: test.from, To: test.to, Exact: test.exact}
			got, err := promotion.Apply(context.Background(), tree{"Chart.yaml": list(test.now)}, i)
			if err != nil || got.Outcome != test.want {
				t.Fatalf("outcome %s, %v, want %s", got.Outcome, err, test.want)
			}
			if wrote := got.Files["Chart.yaml"] != nil; wrote != (test.want == promotion.Promoted) {
				t.Errorf("files = %q", got.Files)
			}
			if test.want == promotion.Promoted && (string(got.Files["Chart.yaml"]) != list(test.to) || got.Intent.From != test.now) {
				t.Errorf("from %s, file %s", got.Intent.From, got.Files["Chart.yaml"])
			}
		})
	}
}

// TestRow01_ReplayFollowsTheList: the branch moved the list from Chart.yaml to
// requirements.yaml after the intent was noted.
func TestRow01_ReplayFollowsTheList(t *testing.T) {
	t.Parallel()
	moved := tree{"env/Chart.yaml": "name: env\n", "env/requirements.yaml": list("1.0.0")}
	i := promotion.Intent{File: "env/Chart.yaml", Kind: promotion.Dependency, Name: "web", From: "1.0.0", To: "1.0.1"}
	got, err := promotion.Apply(context.Background(), moved, i)
	if err != nil || string(got.Files["env/requirements.yaml"]) != list("1.0.1") || len(got.Files) != 1 {
		t.Errorf("%v, %q", err, got.Files)
	}
}

func TestStaleLockIsLeftAlone(t *testing.T) {
	t.Parallel()
	lock := "dependencies:\n- {name: web, version: 1.0.0}\ndigest: sha256:00\n"
	i := promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", To: "1.0.1"}
	got, err := promotion.Begin(context.Background(), tree{"Chart.yaml": list("1.0.0"), "Chart.lock": lock}, i)
	if err != nil || string(got.Files["Chart.lock"]) != lock || string(got.Files["Chart.yaml"]) != list("1.0.1") {
		t.Errorf("%v, %q", err, got.Files)
	}
}

func checkout(t *testing.T) (*git.Repository, string) {
	t.Helper()
	folder := t.TempDir()
	gittest.Git(t, folder, "init", "-q", "-b", "main")
	repository, err := git.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return repository, folder
}

func TestIntentsAreNoted(t *testing.T) {
	t.Parallel()
	repository, folder := checkout(t)
	if noted, err := promotion.Read(repository); err != nil || noted != nil {
		t.Errorf("before: %v, %v", noted, err)
	}
	one := promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "web", Alias: "a\nb", From: "1", To: "2"}
	two := promotion.Intent{File: "values.yaml", Kind: promotion.Value, Name: `.a["b"]`, From: "", To: "x", Exact: true}
	for _, i := range []promotion.Intent{one, two} {
		if err := promotion.Append(repository, i); err != nil {
			t.Fatal(err)
		}
	}
	noted, err := promotion.Read(repository)
	if err != nil || len(noted) != 2 || noted[0] != one || noted[1] != two {
		t.Errorf("Read = %+v, %v", noted, err)
	}
	content, err := os.ReadFile(filepath.Join(folder, ".git/lockstep/intents"))
	if err != nil || strings.Count(string(content), "\n") != 2 {
		t.Errorf("%q, %v: want one line each", content, err)
	}
	for range 2 {
		if err := promotion.Clear(repository); err != nil {
			t.Error(err)
		}
	}
	if noted, err := promotion.Read(repository); err != nil || noted != nil {
		t.Errorf("after: %v, %v", noted, err)
	}
}

func TestIntentsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"no JSON":      "{\n",
		"other types":  `{"file":1}` + "\n",
		"outside":      `{"file":"../x","kind":"value","name":".a"}` + "\n",
		"absolute":     `{"file":"/etc/passwd","kind":"value","name":".a"}` + "\n",
		"Git's folder": `{"file":".GIT/config","kind":"value","name":".a"}` + "\n",
		"too large":    strings.Repeat(" ", 2<<20),
	} {
		repository, folder := checkout(t)
		file := filepath.Join(folder, ".git/lockstep/intents")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
		if _, err := promotion.Read(repository); fault.Of(err).Reason != "InvalidIntent" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRow36_CheckoutKeepsInside(t *testing.T) {
	t.Parallel()
	folder, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	write := func(path, content string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	write(outside, "old")
	write(filepath.Join(folder, "sub/file"), "old")
	for link, target := range map[string]string{"link": outside, "inner": "sub/file", "folder": "sub", "root": "/"} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := promotion.OpenCheckout(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, path := range []string{"link", "inner", "folder/file", "root" + outside, "../outside", outside, "sub/../link", ".git/config", "sub", ""} {
		if err := c.Write(path, []byte("new")); err == nil {
			t.Errorf("Write(%q) went through", path)
		}
		if content, err := c.Read(path); err == nil {
			t.Errorf("Read(%q) = %q", path, content)
		}
	}
	if content, err := os.ReadFile(outside); err != nil || string(content) != "old" {
		t.Errorf("outside = %q, %v", content, err)
	}
	if err := c.Write("sub/file", []byte("new")); err != nil {
		t.Fatal(err)
	}
	content, err := c.Read("sub/file")
	info, statErr := os.Stat(filepath.Join(folder, "sub/file"))
	if err != nil || statErr != nil || string(content) != "new" || info.Mode().Perm() != 0o640 {
		t.Errorf("sub/file = %q, %v, %v", content, err, info.Mode())
	}
	left, err := os.ReadDir(filepath.Join(folder, "sub"))
	if err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}
