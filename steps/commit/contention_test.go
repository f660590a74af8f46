package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

const writers = 50

// TestRow01_FiftyWritersAtOnce starts fifty `clone → bump-version → commit`
// sequences at the same moment against one repository, each as processes of
// its own with its own HOME and TMPDIR. All must succeed.
func TestRow01_FiftyWritersAtOnce(t *testing.T) {
	programs := build(t, "clone", "bump-version", "commit")
	server := gittest.NewServer(t)
	requirements := fleet(writers)
	repository := server.Create("env", gittest.Files{
		"Chart.yaml":        "apiVersion: v1\nname: env\nversion: 0.1.0\n",
		"requirements.yaml": requirements, "requirements.lock": lockOf(t, requirements),
	})
	start := time.Now()
	var all sync.WaitGroup
	for i := range writers {
		folder := t.TempDir()
		all.Go(func() {
			if err := sequence(programs, folder, repository.URL, application(i)); err != nil {
				t.Errorf("%s: %v", application(i), err)
			}
		})
	}
	all.Wait()
	pushes := server.Count(func(r gittest.Request) bool { return r.Service == "git-receive-pack" })
	t.Logf("%d writers took %v and tried %d times to push", writers, time.Since(start).Round(time.Millisecond), pushes)
	checkHistory(t, repository)
	final := repository.File("main", "requirements.yaml")
	if want := strings.ReplaceAll(requirements, "version: 1.0.0", "version: 1.0.1"); final != want {
		t.Errorf("the branch ends with\n%s", final)
	}
	if _, err := edit.Relock([]byte(repository.File("main", "requirements.lock")), []byte(final), []byte(final)); err != nil {
		t.Errorf("the lock is out of step: %v", err)
	}
}

func application(i int) string { return fmt.Sprintf("app-%02d", i) }

// fleet is a requirements.yaml of n applications, one line each.
func fleet(n int) string {
	var b strings.Builder
	b.WriteString("dependencies:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: %s, version: 1.0.0, repository: \"https://charts.example.com\"} # team %d\n", application(i), i)
	}
	return b.String()
}

// lockOf is the lock that Helm would write for exact versions.
func lockOf(t *testing.T, requirements string) string {
	t.Helper()
	entries, err := edit.Dependencies([]byte(requirements))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal([2][]edit.Dependency{entries, entries})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("dependencies:\n")
	for _, e := range entries {
		fmt.Fprintf(&b, "- name: %s\n  repository: %s\n  version: %s\n", e.Name, e.Repository, e.Version)
	}
	fmt.Fprintf(&b, "digest: sha256:%x\ngenerated: \"2026-01-01T00:00:00Z\"\n", sha256.Sum256(encoded))
	return b.String()
}

func build(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		out, err := exec.Command("go", "build", "-o", filepath.Join(folder, name), "../"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return folder
}

// sequence is what the pod of update-environment does.
func sequence(programs, folder, url, name string) error {
	checkout := filepath.Join(folder, "env")
	for _, args := range [][]string{
		{"clone", "--url", url, "--output", checkout},
		{"bump-version", "--source", checkout, "--name", name, "--version", "1.0.1"},
		{"commit", "--source", checkout, "--timeout", "5m"},
	} {
		cmd := exec.Command(filepath.Join(programs, args[0]), args[1:]...)
		cmd.Dir = folder
		cmd.Env = []string{"HOME=" + folder, "TMPDIR=" + folder, "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// checkHistory wants one commit per application on top of the first, each with
// one line of the list and two of the lock.
func checkHistory(t *testing.T, repository *gittest.Repository) {
	t.Helper()
	commits := strings.Fields(repository.Git("rev-list", "--first-parent", "main"))
	if len(commits) != writers+1 {
		t.Errorf("the branch has %d commits, want %d", len(commits), writers+1)
	}
	for _, commit := range commits[:len(commits)-1] {
		got := repository.Git("diff", "--numstat", commit+"^", commit)
		if want := "2\t2\trequirements.lock\n1\t1\trequirements.yaml"; got != want {
			t.Errorf("%s changes\n%s, want\n%s", commit, got, want)
		}
	}
}
