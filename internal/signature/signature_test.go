package signature_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/signature/signaturetest"
)

const text = "what is signed\n"

func open(t *testing.T, p signaturetest.Pair) *signature.Key {
	t.Helper()
	key, err := signature.Folder{SigningKey: p.Folder}.Key()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signers(t *testing.T, folder string) signature.Signers {
	t.Helper()
	s, err := signature.ReadSigners(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t *testing.T, key *signature.Key, namespace string) string {
	t.Helper()
	armored, err := key.Sign(namespace, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return armored
}

// TestSSHSignaturesAreThoseOfSSHKeygen signs with one and checks with the other,
// both ways.
func TestSSHSignaturesAreThoseOfSSHKeygen(t *testing.T) {
	for name, kind := range map[string][3]string{
		"ed25519": {"ed25519", "", ""}, "rsa": {"rsa", "2048", ""}, "ecdsa": {"ecdsa", "384", ""}, "with a passphrase": {"ed25519", "", "correct horse"},
	} {
		t.Run(name, func(t *testing.T) {
			pair := signaturetest.SSH(t, kind[0], kind[1], kind[2])
			allowed := signaturetest.Allow(t, "# who may", "", "ci@example.com "+pair.Public)
			armored := sign(t, open(t, pair), signature.Git)
			file := filepath.Join(t.TempDir(), "text.sig")
			if err := os.WriteFile(file, []byte(armored), 0o600); err != nil {
				t.Fatal(err)
			}
			signaturetest.Run(t, text, "ssh-keygen", "-Y", "verify", "-f", filepath.Join(allowed, "allowed_signers"), "-I", "ci@example.com", "-n", "git", "-s", file)

			unlocked := signaturetest.SSH(t, kind[0], kind[1], "")
			theirs := signaturetest.Run(t, text, "ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", unlocked.File)
			by := signers(t, signaturetest.Allow(t, "ci@example.com "+unlocked.Public))
			who, err := by.Verify(signature.Git, []byte(text), theirs, time.Now())
			if err != nil || who != "ci@example.com" {
				t.Errorf("ours says %q, %v", who, err)
			}
		})
	}
}

// TestOpenPGPSignaturesAreThoseOfGPG does the same with gpg.
func TestOpenPGPSignaturesAreThoseOfGPG(t *testing.T) {
	for name, kind := range map[string][2]string{"ed25519": {"ed25519", ""}, "rsa with a passphrase": {"rsa2048", "correct horse"}} {
		t.Run(name, func(t *testing.T) {
			gpg := signaturetest.NewGPG(t)
			pair := gpg.Key(kind[0], "sign", kind[1])
			armored := sign(t, open(t, pair), signature.Git)
			file := filepath.Join(t.TempDir(), "text")
			for name, content := range map[string]string{file: text, file + ".sig": armored} {
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			gpg.Run("--verify", file+".sig", file)

			gpg.Run("--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", kind[1], "--armor", "--output", file+".asc", "--detach-sign", file)
			theirs, err := os.ReadFile(file + ".asc")
			if err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "ci.asc"), []byte(pair.Public), 0o600); err != nil {
				t.Fatal(err)
			}
			who, err := signers(t, folder).Verify(signature.Git, []byte(text), string(theirs), time.Now())
			if err != nil || who != "CI <ci@example.com>" {
				t.Errorf("ours says %q, %v", who, err)
			}
			if _, err := signers(t, folder).Verify(signature.Git, []byte(text+"."), string(theirs), time.Now()); !errors.Is(err, signature.ErrNotTrusted) {
				t.Errorf("another text: %v", err)
			}
			if _, err := signers(t, other(t)).Verify(signature.Git, []byte(text), string(theirs), time.Now()); !errors.Is(err, signature.ErrNotTrusted) {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
}

// other is a folder of signers that have signed nothing.
func other(t *testing.T) string {
	return signaturetest.Allow(t, "other@example.com "+signaturetest.SSH(t, "ed25519", "", "").Public)
}

// TestRow47_KeysThatCannotSign: where signing was asked for, everything but a
// key that can sign is an error, which tells no secret.
func TestRow47_KeysThatCannotSign(t *testing.T) {
	write := func(t *testing.T, folder, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	locked := func(t *testing.T) string { return signaturetest.SSH(t, "ed25519", "", "correct horse").Folder }
	for name, test := range map[string]struct {
		folder func(t *testing.T) string
		reason string
		says   string
	}{
		"no folder":    {func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, "SigningKeyMissing", "holds 0 keys"},
		"empty folder": {func(t *testing.T) string { return t.TempDir() }, "SigningKeyMissing", "holds 0 keys"},
		"two keys": {func(t *testing.T) string {
			folder := locked(t)
			write(t, folder, "private.asc", "x")
			return folder
		}, "SigningKeyMissing", "holds 2 keys"},
		"no key in it": {func(t *testing.T) string {
			folder := t.TempDir()
			write(t, folder, "ssh-privatekey", "s3cret")
			return folder
		}, "SigningKeyInvalid", "no private key"},
		"a public key": {func(t *testing.T) string {
			folder := t.TempDir()
			write(t, folder, "ssh-privatekey", signaturetest.SSH(t, "ed25519", "", "").Public)
			return folder
		}, "SigningKeyInvalid", "no private key"},
		"a public OpenPGP key": {func(t *testing.T) string {
			folder := t.TempDir()
			write(t, folder, "private.asc", signaturetest.NewGPG(t).Key("ed25519", "sign", "").Public)
			return folder
		}, "SigningKeyInvalid", ""},
		"no passphrase": {func(t *testing.T) string {
			folder := locked(t)
			if err := os.Remove(filepath.Join(folder, "passphrase")); err != nil {
				t.Fatal(err)
			}
			return folder
		}, "SigningKeyInvalid", "needs a passphrase"},
		"another passphrase": {func(t *testing.T) string {
			folder := locked(t)
			write(t, folder, "passphrase", "s3cret")
			return folder
		}, "SigningKeyInvalid", "the passphrase is not the key's"},
		"another passphrase, OpenPGP": {func(t *testing.T) string {
			folder := signaturetest.NewGPG(t).Key("ed25519", "sign", "correct horse").Folder
			write(t, folder, "passphrase", "s3cret")
			return folder
		}, "SigningKeyInvalid", "the passphrase is not the key's"},
		"an OpenPGP key for something else": {func(t *testing.T) string { return signaturetest.NewGPG(t).Key("ed25519", "cert", "").Folder }, "SigningKeyInvalid", ""},
		"a weak key":                        {func(t *testing.T) string { return signaturetest.SSH(t, "rsa", "1024", "").Folder }, "SigningKeyInvalid", "2048 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := signature.Folder{SigningKey: test.folder(t)}.Key()
			f := fault.Of(err)
			if key != nil || f.Kind != fault.KindUsage || f.Reason != test.reason || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, %v %q: %v", key, f.Kind, f.Reason, err)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "horse") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if key, err := (signature.Folder{}).Key(); key != nil || err != nil {
		t.Errorf("nobody asked for a signature: %v, %v", key, err)
	}
}

// TestRow47_SignaturesThatDoNotCount holds signatures by one key against lists
// of signers.
func TestRow47_SignaturesThatDoNotCount(t *testing.T) {
	pair := signaturetest.SSH(t, "ed25519", "", "")
	key := open(t, pair)
	now := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		line      string
		namespace string
		text      string
		armored   string
		counts    bool
	}{
		"by the key":           {line: "ci@example.com " + pair.Public, counts: true},
		"of several":           {line: "a@example.com,ci@example.com " + pair.Public, counts: true},
		"for git":              {line: `ci@example.com namespaces="file,g*" ` + pair.Public, counts: true},
		"in time":              {line: `ci@example.com valid-after="20260504Z",valid-before="20260505Z" ` + pair.Public, counts: true},
		"for something else":   {line: `ci@example.com namespaces="file" ` + pair.Public},
		"too early":            {line: `ci@example.com valid-after="20260504100001Z" ` + pair.Public},
		"too late":             {line: `ci@example.com valid-before="202605041000Z" ` + pair.Public},
		"by another key":       {line: "ci@example.com " + signaturetest.SSH(t, "ed25519", "", "").Public},
		"of another namespace": {line: "ci@example.com " + pair.Public, namespace: signature.Record},
		"of another text":      {line: "ci@example.com " + pair.Public, text: "another\n"},
		"no signature":         {line: "ci@example.com " + pair.Public, armored: "nonsense"},
		"cut":                  {line: "ci@example.com " + pair.Public, armored: "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.namespace == "" {
				test.namespace = signature.Git
			}
			if test.armored == "" {
				test.armored = sign(t, key, test.namespace)
			}
			if test.text == "" {
				test.text = text
			}
			_, err := signers(t, signaturetest.Allow(t, test.line)).Verify(signature.Git, []byte(test.text), test.armored, now)
			if counts := err == nil; counts != test.counts || err != nil && !errors.Is(err, signature.ErrNotTrusted) {
				t.Errorf("got %v, want it to count: %v", err, test.counts)
			}
		})
	}
}

// TestRow47_SignersThatCannotBeRead: a list that says less or more than is
// understood here is refused, and so is one that names nobody.
func TestRow47_SignersThatCannotBeRead(t *testing.T) {
	public := signaturetest.SSH(t, "ed25519", "", "").Public
	for name, lines := range map[string][]string{
		"nobody":                {"# nobody yet"},
		"no principal":          {public},
		"an authority":          {"ci@example.com cert-authority " + public},
		"an unknown option":     {`ci@example.com from="10.0.0.1" ` + public},
		"no time":               {`ci@example.com valid-after="soon" ` + public},
		"namespaces taken out":  {`ci@example.com namespaces="!git" ` + public},
		"a weak key":            {"ci@example.com " + signaturetest.SSH(t, "rsa", "1024", "").Public},
		"one good and one torn": {"ci@example.com " + public, "ci@example.com ssh-ed25519 AAAA"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signature.ReadSigners(signaturetest.Allow(t, lines...))
			if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != "AllowedSignersInvalid" {
				t.Errorf("got %v %v", f.Reason, err)
			}
		})
	}
}

func TestSignaturesOnOneLine(t *testing.T) {
	pair := signaturetest.SSH(t, "ed25519", "", "")
	line := signature.Line(sign(t, open(t, pair), signature.Record))
	if strings.ContainsAny(line, "\n -\"") {
		t.Errorf("%q", line)
	}
	public, err := signature.ParsePublicKey(pair.Public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signature.SignersOf(public).Verify(signature.Record, []byte(text), signature.Armored(line), time.Now()); err != nil {
		t.Error(err)
	}
}
