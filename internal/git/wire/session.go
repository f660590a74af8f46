// Package wire speaks Git's transfer protocols: the smart HTTP protocol, SSH,
// and a local git program, in version 2 where the server has it and in
// version 0 where not. It knows hashes and refs as text and packs as byte
// streams; it does not know what is in them, and it does not retry. Errors say
// by type whether a retry could help (Transient).
package wire

import (
	"context"
	"io"
)

// The two services of a repository.
const (
	UploadPack  = "git-upload-pack"
	ReceivePack = "git-receive-pack"
)

// Transport opens sessions with a service of one repository.
type Transport interface {
	// Open starts a session. version 2 is only asked for; the greeting tells
	// what the server speaks.
	Open(ctx context.Context, service string, version int) (Session, error)
	// Resume starts a session without waiting for a greeting, for a server that
	// is known to speak that version. nil: this transport always greets.
	Resume(ctx context.Context, service string, version int) Session
}

// Session is one conversation with a service.
type Session interface {
	// Greeting is what the server says first: its refs or its capabilities.
	Greeting() io.Reader
	// Exchange sends a request and gives the answer, to be closed.
	Exchange(ctx context.Context, request []byte) (io.ReadCloser, error)
	// Close ends the conversation.
	Close() error
}

// Ref is a ref as the server lists it.
type Ref struct {
	Name, Hash string
	Peeled     string // the commit behind an annotated tag, or ""
	Target     string // what a symbolic ref such as HEAD points to, or ""
}
