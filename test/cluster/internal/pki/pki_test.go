package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
	"time"
)

func server() Identity {
	return Identity{File: "server", Name: "the-server", Groups: []string{"servers"}, DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}
}

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, id Identity) []byte {
	t.Helper()
	if err := a.Ensure(id); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(a.CertPath(id.File))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCertificateIsAcceptedForItsNames(t *testing.T) {
	a := open(t, t.TempDir())
	issue(t, a, server())
	pair, err := tls.LoadX509KeyPair(a.CertPath("server"), a.KeyPath("server"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(a.CAPath())
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(ca)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if pair.Leaf.Subject.CommonName != "the-server" || pair.Leaf.Subject.Organization[0] != "servers" {
		t.Errorf("issued for %v", pair.Leaf.Subject)
	}
}

func TestSecondStartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	before := issue(t, open(t, dir), server())
	if !bytes.Equal(before, issue(t, open(t, dir), server())) {
		t.Error("the certificate was issued again")
	}
}

func TestCertificateIsIssuedAgain(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *Authority, *Identity){
		"for another address": func(_ *testing.T, _ *Authority, id *Identity) { id.IPs = []net.IP{net.IPv4(10, 88, 0, 1)} },
		"for another name":    func(_ *testing.T, _ *Authority, id *Identity) { id.DNS = nil },
		"for another group":   func(_ *testing.T, _ *Authority, id *Identity) { id.Groups = nil },
		"without its key":     func(t *testing.T, a *Authority, _ *Identity) { remove(t, a.KeyPath("server")) },
		"cut in the middle": func(t *testing.T, a *Authority, _ *Identity) {
			if err := os.Truncate(a.CertPath("server"), 100); err != nil {
				t.Fatal(err)
			}
		},
		"by another authority": func(t *testing.T, a *Authority, _ *Identity) {
			remove(t, a.CAPath())
			*a = *open(t, a.dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, id := open(t, t.TempDir()), server()
			before := issue(t, a, id)
			change(t, a, &id)
			if bytes.Equal(before, issue(t, a, id)) {
				t.Error("the old certificate was kept")
			}
		})
	}
}

func TestCertificateThatExpiresSoonIsStale(t *testing.T) {
	soon := &x509.Certificate{NotAfter: time.Now().Add(renewBefore - time.Minute)}
	if fresh(soon) {
		t.Error("it would be kept until it is too late")
	}
}

func TestPrivateKeysAreForTheirOwnerOnly(t *testing.T) {
	a := open(t, t.TempDir())
	issue(t, a, server())
	if err := a.EnsureKeyPair("tokens"); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"ca", "server", "tokens"} {
		info, err := os.Stat(a.KeyPath(file))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", file, info.Mode())
		}
	}
}

func TestTokenKeysAreNeverReplaced(t *testing.T) {
	a := open(t, t.TempDir())
	var seen [][]byte
	for range 2 {
		if err := a.EnsureKeyPair("tokens"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(a.KeyPath("tokens"))
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, text)
	}
	if !bytes.Equal(seen[0], seen[1]) {
		t.Error("tokens of running pods would become invalid")
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
