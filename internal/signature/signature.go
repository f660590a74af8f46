// Package signature signs texts and checks who signed them, in the two forms
// that Git knows: SSHSIG, made with an SSH key, and OpenPGP. Keys come from
// files; no agent, no keyring and no program is asked.
//
// It knows neither commits nor records: callers say which bytes are signed,
// and whose signatures count.
package signature

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Namespaces say what an SSH signature was made for, so that none can be taken
// for another. OpenPGP has nothing of the kind.
const (
	Git     = "git" // commits and tags: the one that the git program uses
	Request = "lockstep-request"
	Record  = "lockstep-record"
)

// ErrNotTrusted: the signature is not one of those that count, or not of this
// text.
var ErrNotTrusted = errors.New("not signed by a trusted key")

const (
	sshType = "SSH SIGNATURE"
	pgpType = "PGP SIGNATURE"
)

// maxFile bounds the files that hold keys, in bytes.
const maxFile = 1 << 20

// Line is an SSH signature without its armor, for one line of text.
func Line(armored string) string {
	var lines []string
	for line := range strings.Lines(armored) {
		if !strings.HasPrefix(line, "-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "")
}

// Armored is the SSH signature that Line was made of.
func Armored(line string) string {
	return fmt.Sprintf("-----BEGIN %s-----\n%s\n-----END %s-----\n", sshType, line, sshType)
}

// typeOf is what an armored text says that it is, "" where it is none.
func typeOf(armored []byte) string {
	first, _, _ := strings.Cut(strings.TrimSpace(string(armored)), "\n")
	name, ok := strings.CutPrefix(strings.TrimSpace(first), "-----BEGIN ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, "-----")
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than the %d bytes that are read", name, maxFile)
	}
	return text, err
}
