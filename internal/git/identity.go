package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Lockstep is who commits when no person does, and who carries out what a
// person asked for.
var Lockstep = Signature{Name: "Lockstep", Email: "lockstep@lockstep.dev"}

// Identity is the part of a program's contract that says who makes its commits.
type Identity struct {
	AuthorName     string `param:"author-name" default:"Lockstep" desc:"Name of the commits' author."`
	AuthorEmail    string `param:"author-email" default:"lockstep@lockstep.dev" desc:"E-mail of the commits' author."`
	CommitterName  string `param:"committer-name" default:"Lockstep" desc:"Name of the committer, whose key signs."`
	CommitterEmail string `param:"committer-email" default:"lockstep@lockstep.dev" desc:"E-mail of the committer."`
}

// Author is who wanted the commits.
func (i *Identity) Author() Signature { return Signature{Name: i.AuthorName, Email: i.AuthorEmail} }

// Committer is who makes them.
func (i *Identity) Committer() Signature {
	return Signature{Name: i.CommitterName, Email: i.CommitterEmail}
}

// Person is the author of what a person commits in the working folder, as git
// has it: GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL, then user.name and user.email
// of the configuration, with what that includes. So git itself is asked. Whom
// it does not know is a usage fault with git's own words.
func Person(ctx context.Context) (Signature, error) {
	cmd := exec.CommandContext(ctx, "git", "var", "GIT_AUTHOR_IDENT")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		by := Signature{Name: os.Getenv("GIT_AUTHOR_NAME"), Email: os.Getenv("GIT_AUTHOR_EMAIL")}
		if by.Name == "" || by.Email == "" {
			return Signature{}, unknownPerson(err)
		}
		return by, nil
	}
	if err != nil {
		return Signature{}, unknownPerson(fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes())))
	}
	name, rest, ok := strings.Cut(string(out), " <")
	email, _, closed := strings.Cut(rest, ">")
	if !ok || !closed {
		return Signature{}, unknownPerson(fmt.Errorf("%q is no identity", out))
	}
	return Signature{Name: name, Email: email}, nil
}

func unknownPerson(err error) error {
	return fault.Usage("AuthorUnknown", fmt.Errorf("ask git who the author is (git var GIT_AUTHOR_IDENT): %w", err),
		"git config --global user.name and user.email say who you are; in a script GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL do")
}
