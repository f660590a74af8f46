package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/signature/signaturetest"
)

func keyOf(t *testing.T, p signaturetest.Pair) *signature.Key {
	t.Helper()
	key, err := signature.Folder{SigningKey: p.Folder}.Key()
	ok(t, err)
	return key
}

func signersIn(t *testing.T, folder string) signature.Signers {
	t.Helper()
	s, err := signature.ReadSigners(folder)
	ok(t, err)
	return s
}

// pushSigned makes a commit and a tag with a key and pushes them.
func pushSigned(t *testing.T, repo *gittest.Repository, key *signature.Key) git.Hash {
	t.Helper()
	r, local := remote(t, repo.URL), git.NewMemory()
	tip, err := r.Tip(t.Context(), "main")
	ok(t, err)
	ok(t, r.Fetch(t.Context(), local, tip, 1))
	commit, err := local.Commit(git.CommitOptions{
		Parent: tip.Hash, Author: someone, Message: "signed\n\nbody", Key: key,
		Files: []git.File{{Path: "a", Content: []byte("2")}},
	})
	ok(t, err)
	tag, err := local.Tag(git.TagOptions{Name: "v1", Commit: commit, Message: "release 1", By: someone, Key: key})
	ok(t, err)
	ok(t, r.Push(t.Context(), local, git.Update{Ref: tip.Name, Old: tip.Hash, New: commit}, git.Update{Ref: "refs/tags/v1", Old: git.Zero, New: tag}))
	return commit
}

// TestSignedCommitsAreVerifiedByTheGitProgram lets git look at commits and tags
// that were signed here.
func TestSignedCommitsAreVerifiedByTheGitProgram(t *testing.T) {
	t.Parallel()
	ssh := signaturetest.SSH(t, "ed25519", "", "correct horse")
	gpg := signaturetest.NewGPG(t)
	allowed := signaturetest.Allow(t, "ci@example.com "+ssh.Public)
	for name, test := range map[string]struct {
		pair     signaturetest.Pair
		settings [][2]string
	}{
		"SSH":     {ssh, [][2]string{{"gpg.ssh.allowedSignersFile", filepath.Join(allowed, "allowed_signers")}}},
		"OpenPGP": {gpg.Key("rsa2048", "sign", "correct horse"), [][2]string{{"gpg.program", wrapper(t, gpg)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.NewServer(t).Create("app", gittest.Files{"a": "1"})
			commit := pushSigned(t, repo, keyOf(t, test.pair))
			for _, s := range test.settings {
				repo.Git("config", s[0], s[1])
			}
			repo.Git("verify-commit", string(commit))
			repo.Git("verify-tag", "v1")
			same(t, repo.Git("log", "-1", "--format=%G? %s", "main"), "G signed")
			repo.Git("fsck", "--strict")
		})
	}
}

// wrapper is a program that is gpg with a home of its own.
func wrapper(t *testing.T, gpg signaturetest.GPG) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gpg")
	ok(t, os.WriteFile(file, []byte("#!/bin/sh\nexec gpg --homedir "+gpg.Home+" \"$@\"\n"), 0o755))
	return file
}

// TestCommitsThatTheGitProgramSigned are read here.
func TestCommitsThatTheGitProgramSigned(t *testing.T) {
	t.Parallel()
	pair := signaturetest.SSH(t, "ed25519", "", "")
	repo := gittest.NewServer(t).Create("app", gittest.Files{"a": "1"})
	commit := signedByGit(repo, pair, "main")
	r, local := remote(t, repo.URL), git.NewMemory()
	ok(t, r.FetchTips(t.Context(), local, commit))
	who, err := local.Verify(commit, signersIn(t, signaturetest.Allow(t, "ci@example.com "+pair.Public)))
	ok(t, err)
	same(t, who, "ci@example.com")
}

// signedByGit lets the git program sign a commit of the branch's files and makes
// it the branch's tip.
func signedByGit(repo *gittest.Repository, pair signaturetest.Pair, branch string) git.Hash {
	commit := repo.Git("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "gpg.format=ssh", "-c", "user.signingKey="+pair.File,
		"commit-tree", "-S", "-p", branch, "-m", "by git", branch+"^{tree}")
	repo.Git("update-ref", "refs/heads/"+branch, commit)
	return git.Hash(commit)
}

// TestRow47_CommitsThatAreNotVerified: unsigned, by another, and changed after
// it was signed.
func TestRow47_CommitsThatAreNotVerified(t *testing.T) {
	t.Parallel()
	pair, stranger := signaturetest.SSH(t, "ed25519", "", ""), signaturetest.SSH(t, "ed25519", "", "")
	for name, test := range map[string]struct {
		change func(commit string) string
		by     signaturetest.Pair
		says   string
	}{
		"as it was signed": {by: pair},
		"unsigned":         {says: "it is not signed"},
		"by a stranger":    {by: stranger, says: "is not known"},
		"another message":  {by: pair, says: "not signed by", change: func(c string) string { return strings.Replace(c, "by git", "by me", 1) }},
		"another tree":     {by: pair, says: "not signed by", change: func(c string) string { return strings.Replace(c, c[:45], emptyTree, 1) }},
		"two signatures": {by: pair, says: "more than one signature", change: func(c string) string {
			from, to := strings.Index(c, "gpgsig "), strings.Index(c, "\n\n")
			return c[:from] + c[from:to+1] + c[from:]
		}},
		"in the message only": {by: pair, says: "it is not signed", change: func(c string) string {
			from, to := strings.Index(c, "gpgsig "), strings.Index(c, "\n\n")
			return c[:from] + c[to+1:] + "\n" + c[from:to]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.NewServer(t).Create("app", gittest.Files{"a": "1"})
			repo.GitIn("", "hash-object", "-t", "tree", "-w", "--stdin")
			commit := git.Hash(repo.Head("main"))
			if test.by.File != "" {
				commit = signedByGit(repo, test.by, "main")
			}
			if test.change != nil {
				changed := test.change(repo.Git("cat-file", "commit", string(commit)) + "\n")
				commit = git.Hash(repo.GitIn(changed, "hash-object", "-t", "commit", "-w", "--literally", "--stdin"))
				repo.Git("update-ref", "refs/heads/main", string(commit))
			}
			r, local := remote(t, repo.URL), git.NewMemory()
			ok(t, r.FetchTips(t.Context(), local, commit))
			_, err := local.Verify(commit, signersIn(t, signaturetest.Allow(t, "ci@example.com "+pair.Public)))
			if test.says == "" {
				ok(t, err)
				return
			}
			if f := fault.Of(err); f.Kind != fault.KindRefused || f.Reason != "SignatureNotVerified" || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %s: %v", f.Reason, err)
			}
		})
	}
}

// emptyTree is the first line of a commit without files.
const emptyTree = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904"
