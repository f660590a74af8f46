// Package signaturetest makes keys for tests with the programs that users make
// theirs with, ssh-keygen and gpg, and checks signatures with them.
package signaturetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Pair is a key with its public half.
type Pair struct {
	Folder string // what a user would bind as workspace signing-key
	File   string // the private key
	Public string // text of the public key
}

// SSH makes a key of a kind such as ed25519; bits "" are ssh-keygen's own, and
// so is no passphrase.
func SSH(t testing.TB, kind, bits, passphrase string) Pair {
	t.Helper()
	folder := t.TempDir()
	p := Pair{Folder: folder, File: filepath.Join(folder, "ssh-privatekey")}
	args := []string{"-q", "-t", kind, "-N", passphrase, "-C", "ci@example.com", "-f", p.File}
	if bits != "" {
		args = append(args, "-b", bits)
	}
	Run(t, "", "ssh-keygen", args...)
	public, err := os.ReadFile(p.File + ".pub")
	check(t, err, os.Remove(p.File+".pub"))
	p.Public = strings.TrimSpace(string(public))
	p.writePassphrase(t, passphrase)
	return p
}

// Allow writes a folder for the workspace allowed-signers with such lines, and
// returns it.
func Allow(t testing.TB, lines ...string) string {
	t.Helper()
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "allowed_signers"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	return folder
}

// GPG is a home of GnuPG.
type GPG struct {
	t    testing.TB
	Home string
}

// NewGPG makes an empty home; its agent ends with the test.
func NewGPG(t testing.TB) GPG {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // the agent's socket needs a short path
	check(t, err)
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	return GPG{t: t, Home: home}
}

// Key makes a key of an algorithm such as ed25519 or rsa2048, for a use such as
// sign.
func (g GPG) Key(algorithm, use, passphrase string) Pair {
	g.t.Helper()
	folder := g.t.TempDir()
	p := Pair{Folder: folder, File: filepath.Join(folder, "private.asc")}
	secret := []string{"--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase}
	g.Run(append(secret, "--quick-gen-key", "CI <ci@example.com>", algorithm, use, "never")...)
	check(g.t, os.WriteFile(p.File, []byte(g.Run(append(secret, "--armor", "--export-secret-keys", "ci@example.com")...)), 0o600))
	p.Public = g.Run("--armor", "--export", "ci@example.com")
	p.writePassphrase(g.t, passphrase)
	return p
}

// Run runs gpg in this home and returns what it prints.
func (g GPG) Run(args ...string) string {
	g.t.Helper()
	return Run(g.t, "", "gpg", append([]string{"--homedir", g.Home, "--no-tty", "--quiet"}, args...)...)
}

func (p Pair) writePassphrase(t testing.TB, passphrase string) {
	if passphrase != "" {
		check(t, os.WriteFile(filepath.Join(p.Folder, "passphrase"), []byte(passphrase+"\n"), 0o600))
	}
}

// Run runs a program that must succeed, with such input, and returns its
// output.
func Run(t testing.TB, input, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, message strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &message
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out.String(), message.String())
	}
	return out.String()
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
