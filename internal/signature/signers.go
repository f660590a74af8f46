package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Signers are those whose signatures count. The zero value is nobody.
type Signers struct {
	ssh []allowed
	pgp openpgp.EntityList
}

// allowed is one line of an allowed_signers file.
type allowed struct {
	who           string // principals
	key           ssh.PublicKey
	namespaces    []string // patterns; none: all
	after, before time.Time
}

// SignersOf are the owners of these keys.
func SignersOf(keys ...PublicKey) Signers {
	var s Signers
	for _, k := range keys {
		s.ssh = append(s.ssh, allowed{who: ssh.FingerprintSHA256(k.key), key: k.key})
	}
	return s
}

// Allowed is what a program asks its caller for to check who signed what it
// reads. Programs embed it in their config; the tags are those of
// internal/step.
type Allowed struct {
	VerifySignatures bool   `param:"verify-signatures" desc:"Whether the commit must be signed by one of allowed-signers: true or false. Binding allowed-signers says the same; true without it is an error."`
	AllowedSigners   string `workspace:"allowed-signers" desc:"Folder with allowed_signers, lines of the form principal keytype key, and OpenPGP public keys as *.asc. Bound: a commit that none of them signed is refused."`
}

// Signers reads who may sign; nil where nothing is to be checked.
func (a Allowed) Signers() (*Signers, error) {
	if a.AllowedSigners == "" && !a.VerifySignatures {
		return nil, nil
	}
	if a.AllowedSigners == "" {
		return nil, fault.Usage("AllowedSignersInvalid", errors.New("verify-signatures is true, and nobody says whose signatures count"),
			"Bind the workspace allowed-signers.")
	}
	s, err := ReadSigners(a.AllowedSigners)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// allowedFile is the file that git's gpg.ssh.allowedSignersFile names.
const allowedFile = "allowed_signers"

// ReadSigners reads a folder: allowed_signers in the form of ssh-keygen, and
// armored OpenPGP public keys in every *.asc. Whatever cannot be read is a
// usage fault, and so is a folder that names nobody.
func ReadSigners(folder string) (Signers, error) {
	s, err := readSigners(folder)
	if err == nil && len(s.ssh) == 0 && len(s.pgp) == 0 {
		err = fmt.Errorf("%s names nobody", folder)
	}
	if err != nil {
		return Signers{}, fault.Usage("AllowedSignersInvalid", fmt.Errorf("read the allowed signers: %w", err),
			"The folder holds allowed_signers, lines of `principal keytype key`, or OpenPGP public keys as *.asc.")
	}
	return s, nil
}

func readSigners(folder string) (Signers, error) {
	var s Signers
	file := filepath.Join(folder, allowedFile)
	text, err := readFile(file)
	if err == nil {
		s.ssh, err = parseAllowed(file, string(text))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.asc"))
	if err != nil {
		return s, err
	}
	for _, file := range files {
		text, err := readFile(file)
		if err != nil {
			return s, err
		}
		keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
		if err != nil {
			return s, fmt.Errorf("%s: %w", file, err)
		}
		s.pgp = append(s.pgp, keys...)
	}
	return s, nil
}

func parseAllowed(file, text string) ([]allowed, error) {
	var all []allowed
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		a, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// parseLine reads `principals [options] keytype key [comment]`.
func parseLine(line string) (allowed, error) {
	who, rest, _ := strings.Cut(line, " ")
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest)))
	if err != nil {
		return allowed{}, errors.New("it is not of the form: principal keytype key")
	}
	a := allowed{who: strings.Trim(who, `"`), key: key}
	for _, option := range options {
		if err := a.set(option); err != nil {
			return allowed{}, err
		}
	}
	return a, strong(key)
}

// set takes one option. One that is not known is an error: it may narrow what
// the key is for.
func (a *allowed) set(option string) (err error) {
	name, value, _ := strings.Cut(option, "=")
	value = strings.Trim(value, `"`)
	switch strings.ToLower(name) {
	case "namespaces":
		a.namespaces = strings.Split(value, ",")
		if strings.Contains(value, "!") {
			err = errors.New("namespaces that are taken out again with ! are not known here")
		}
	case "valid-after":
		a.after, err = parseTime(value)
	case "valid-before":
		a.before, err = parseTime(value)
	default:
		err = fmt.Errorf("the option %.40q is not known here", name)
	}
	return err
}

// parseTime reads YYYYMMDD[HHMM[SS]][Z]; without Z it is local time.
func parseTime(text string) (time.Time, error) {
	zone := time.Local
	digits, utc := strings.CutSuffix(text, "Z")
	if utc {
		zone = time.UTC
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.ParseInLocation(form, digits, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time such as 20270131 or 202701311200Z", text)
}

// Verify says who signed the text, for this namespace, at a time that the text
// gives. ErrNotTrusted when it is none of these signers, or not this text.
func (s Signers) Verify(namespace string, text []byte, armored string, when time.Time) (who string, err error) {
	switch typeOf([]byte(armored)) {
	case sshType:
		who, err = s.verifySSH(namespace, text, armored, when)
	case pgpType:
		who, err = s.verifyPGP(text, armored)
	default:
		err = errors.New("the signature is of a kind that is not known here")
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotTrusted, err)
	}
	return who, nil
}

func (s Signers) verifySSH(namespace string, text []byte, armored string, when time.Time) (string, error) {
	signed, err := sshsig.Unarmor([]byte(armored))
	if err != nil {
		return "", err
	}
	id := ssh.FingerprintSHA256(signed.PublicKey)
	err = fmt.Errorf("the key %s is not known", id)
	for _, a := range s.ssh {
		if !bytes.Equal(a.key.Marshal(), signed.PublicKey.Marshal()) {
			continue
		}
		if err = a.check(namespace, when); err != nil {
			continue
		}
		if err := sshsig.Verify(bytes.NewReader(text), signed, a.key, signed.HashAlgorithm, namespace); err != nil {
			return "", fmt.Errorf("the signature by %s: %w", a.who, err)
		}
		return a.who, nil
	}
	return "", err
}

// check holds the line's options against a use of the key.
func (a allowed) check(namespace string, when time.Time) error {
	fits := func(pattern string) bool { ok, err := path.Match(pattern, namespace); return ok && err == nil }
	switch {
	case a.namespaces != nil && !slices.ContainsFunc(a.namespaces, fits):
		return fmt.Errorf("the key of %s is not for the namespace %s", a.who, namespace)
	case !a.after.IsZero() && when.Before(a.after), !a.before.IsZero() && !when.Before(a.before):
		return fmt.Errorf("the key of %s is not valid at %s", a.who, when.UTC().Format(time.RFC3339))
	}
	return nil
}

func (s Signers) verifyPGP(text []byte, armored string) (string, error) {
	block, err := armor.Decode(strings.NewReader(armored))
	if err != nil {
		return "", err
	}
	signed, signer, err := openpgp.VerifyDetachedSignature(s.pgp, bytes.NewReader(text), block.Body, nil)
	if err != nil {
		return "", fmt.Errorf("OpenPGP: %w", err)
	}
	if signed.SigType != packet.SigTypeBinary {
		return "", errors.New("OpenPGP: it is no signature of a document")
	}
	if identity := signer.PrimaryIdentity(); identity != nil {
		return identity.Name, nil
	}
	return fmt.Sprintf("%X", signer.PrimaryKey.Fingerprint), nil
}
