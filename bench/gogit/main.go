// Command gogit promotes one application the way a program would that takes
// go-git as it comes: a clone of depth 1 and a worktree in memory, an edit, a
// commit, a push. It reads URL, APP and VERSION from the environment.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/memfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

const file = "requirements.yaml"

func main() {
	if err := run(os.Getenv("URL"), os.Getenv("APP"), os.Getenv("VERSION")); err != nil {
		fmt.Fprintln(os.Stderr, "gogit:", err)
		os.Exit(1)
	}
}

func run(url, app, version string) error {
	files := memfs.New()
	repository, err := git.Clone(memory.NewStorage(), files, &git.CloneOptions{
		URL: url, Depth: 1, SingleBranch: true, ReferenceName: plumbing.NewBranchReferenceName("main"), Tags: git.NoTags,
	})
	if err != nil {
		return fmt.Errorf("clone %s: %w", url, err)
	}
	if err := edit(files, app, version); err != nil {
		return err
	}
	worktree, err := repository.Worktree()
	if err != nil {
		return err
	}
	if _, err := worktree.Add(file); err != nil {
		return fmt.Errorf("add %s: %w", file, err)
	}
	by := &object.Signature{Name: "Bench", Email: "bench@example.com", When: time.Now()}
	message := fmt.Sprintf("chore: promote %s to version %s\n", app, version)
	if _, err := worktree.Commit(message, &git.CommitOptions{Author: by, Committer: by}); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := repository.Push(&git.PushOptions{}); err != nil {
		return fmt.Errorf("push to %s: %w", url, err)
	}
	return nil
}

// edit sets the version in the entry of app, as sed does for the others.
func edit(files billy.Filesystem, app, version string) error {
	in, err := files.Open(file)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	before, entry, found := strings.Cut(string(content), "- name: "+app+"\n  version: ")
	if !found {
		return fmt.Errorf("%s has no dependency %s", file, app)
	}
	_, after, _ := strings.Cut(entry, "\n")
	out, err := files.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, before+"- name: "+app+"\n  version: "+version+"\n"+after); err != nil {
		return err
	}
	return out.Close()
}
