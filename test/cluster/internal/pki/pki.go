// Package pki issues the certificates of a test cluster: one authority, and a certificate for each who proves who
// it is. Files are PEM; private keys are readable by their owner only.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	validFor    = 365 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	// A clock that is a little behind must not find a fresh certificate to be from the future.
	backdate = time.Hour
)

// Identity is somebody who gets a certificate. Kubernetes reads Name as the user and Groups as the user's groups.
type Identity struct {
	File   string // certificate and key are File.crt and File.key
	Name   string
	Groups []string
	DNS    []string // names and addresses that a server answers to
	IPs    []net.IP
}

// Authority signs certificates and keeps everything in one folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Open reads the authority in dir, or makes one when there is none or it is about to expire.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &Authority{dir: dir}
	cert, key, err := load(dir, "ca")
	if err == nil && fresh(cert) {
		a.cert, a.key = cert, key
		return a, nil
	}
	return a, a.create()
}

func (a *Authority) create() error {
	template := template(pkix.Name{CommonName: "lockstep test cluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	template.NotAfter = time.Now().Add(10 * validFor)
	key, err := newKey()
	if err != nil {
		return err
	}
	a.cert, a.key = template, key
	a.cert, err = a.sign("ca", template, key)
	return err
}

// CAPath returns the file of the authority's own certificate.
func (a *Authority) CAPath() string { return a.CertPath("ca") }

// CertPath returns the file of a certificate.
func (a *Authority) CertPath(file string) string { return filepath.Join(a.dir, file+".crt") }

// KeyPath returns the file of a private key.
func (a *Authority) KeyPath(file string) string { return filepath.Join(a.dir, file+".key") }

// Ensure issues a certificate unless there is one that says the same, is signed by this authority and is valid for
// some time to come.
func (a *Authority) Ensure(id Identity) error {
	if cert, _, err := load(a.dir, id.File); err == nil && fresh(cert) && id.matches(cert) && cert.CheckSignatureFrom(a.cert) == nil {
		return nil
	}
	t := template(pkix.Name{CommonName: id.Name, Organization: id.Groups})
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	t.DNSNames, t.IPAddresses = id.DNS, id.IPs
	key, err := newKey()
	if err != nil {
		return err
	}
	_, err = a.sign(id.File, t, key)
	return err
}

// EnsureKeyPair makes the pair that signs service account tokens, unless it is there: File.key and File.pub. It is
// never renewed: tokens in running pods are signed with it.
func (a *Authority) EnsureKeyPair(file string) error {
	public := filepath.Join(a.dir, file+".pub")
	if exists(public) && exists(a.KeyPath(file)) {
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	if err := writeKey(a.KeyPath(file), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return write(public, "PUBLIC KEY", der, 0o644)
}

func (a *Authority) sign(file string, t *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", t.Subject, err)
	}
	if err := writeKey(a.KeyPath(file), key); err != nil {
		return nil, err
	}
	if err := write(a.CertPath(file), "CERTIFICATE", der, 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (id Identity) matches(cert *x509.Certificate) bool {
	if cert.Subject.CommonName != id.Name || fmt.Sprint(cert.Subject.Organization) != fmt.Sprint(id.Groups) {
		return false
	}
	if fmt.Sprint(cert.DNSNames) != fmt.Sprint(id.DNS) || len(cert.IPAddresses) != len(id.IPs) {
		return false
	}
	for i, ip := range id.IPs {
		if !ip.Equal(cert.IPAddresses[i]) {
			return false
		}
	}
	return true
}

func template(subject pkix.Name) *x509.Certificate {
	// 128 random bits: no two certificates of one authority may share a number.
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-backdate), NotAfter: now.Add(validFor)}
}

func fresh(cert *x509.Certificate) bool { return time.Now().Before(cert.NotAfter.Add(-renewBefore)) }

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return write(path, "PRIVATE KEY", der, 0o600)
}

func write(path, kind string, der []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
