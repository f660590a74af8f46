package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// putSigned stores a commit or tag with the key's signature in it; no key: as
// it is. What is signed is the object without the signature.
func (r *Repository) putSigned(o interface {
	Encode(plumbing.EncodedObject) error
	EncodeWithoutSignature(plumbing.EncodedObject) error
}, into *string, key *signature.Key) (plumbing.Hash, error) {
	if key != nil {
		text, err := encoded(o.EncodeWithoutSignature)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if *into, err = key.Sign(signature.Git, text); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return r.put(o)
}

func encoded(encode func(plumbing.EncodedObject) error) ([]byte, error) {
	o := &plumbing.MemoryObject{}
	if err := encode(o); err != nil {
		return nil, err
	}
	return contentOf(o)
}

func contentOf(o plumbing.EncodedObject) ([]byte, error) {
	reader, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return io.ReadAll(reader)
}

// Verify says who of the signers signed a commit. A commit without a signature,
// or with another's, is refused as "SignatureNotVerified". It speaks for the
// commit's files and, by its parents' names, for its history; it does not say
// that the commit is the newest.
func (r *Repository) Verify(commit Hash, by signature.Signers) (who string, err error) {
	if who, err = r.verify(commit, by); err != nil {
		return "", fault.Refused("SignatureNotVerified", fmt.Errorf("commit %s: %w", commit.Short(), err),
			"Nothing was deployed or checked out of it. Sign the commit, or add its signer to the allowed signers; docs/signing.md says how.")
	}
	return who, nil
}

// Check is Verify where signers are given; nil: every commit will do.
func (r *Repository) Check(commit Hash, by *signature.Signers) error {
	if by == nil {
		return nil
	}
	_, err := r.Verify(commit, *by)
	return err
}

func (r *Repository) verify(commit Hash, by signature.Signers) (string, error) {
	raw, err := r.store.EncodedObject(plumbing.CommitObject, fromHash(commit))
	if err != nil {
		return "", notFound(err)
	}
	text, err := contentOf(raw)
	if err != nil {
		return "", err
	}
	signed, armored, err := splitSignature(text)
	if err != nil {
		return "", err
	}
	c, err := object.DecodeCommit(r.store, raw)
	if err != nil {
		return "", err
	}
	return by.Verify(signature.Git, signed, armored, c.Committer.When)
}

// signatureHeader is the one that the git program writes in repositories with
// SHA-1 names.
const signatureHeader = "gpgsig "

// splitSignature takes the signature out of the text of a commit, byte by byte
// as it was signed. Two signatures are refused: which one counts is a matter of
// who reads.
func splitSignature(commit []byte) (signed []byte, armored string, err error) {
	header, body, _ := bytes.Cut(commit, []byte("\n\n"))
	var ours bytes.Buffer
	inside, found := false, 0
	for line := range bytes.Lines(append(header[:len(header):len(header)], '\n')) {
		if inside && line[0] == ' ' {
			armored += string(line[1:])
			continue
		}
		value, is := bytes.CutPrefix(line, []byte(signatureHeader))
		if inside = is; is {
			found++
			armored += string(value)
			continue
		}
		ours.Write(line)
	}
	switch found {
	case 0:
		return nil, "", errors.New("it is not signed")
	case 1:
		return append(append(ours.Bytes(), '\n'), body...), armored, nil
	}
	return nil, "", errors.New("it has more than one signature")
}
