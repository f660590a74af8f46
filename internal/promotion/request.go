package promotion

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/signature"
)

// request is a promotion that any other writer of the branch may carry out, as
// the environment's repository keeps it until then: a commit at
// refs/lockstep/requests/<branch>/<id>, where <branch> is a digest of the
// branch's name.
//
// A writer believes a request only when it carries the seal of its own
// credential: whoever made it could push the promotion himself, and nobody gets
// around the protection of a branch by way of another's program. The id ends
// with a seal as well, so that a list of refs tells already which ones count.
//
// The same holds for signatures. A writer with a key carries out, and so signs,
// only what a writer with the same key asked for, which it proves by signing
// the request. A writer without one takes only requests of its like: what is
// to be signed does not become an unsigned commit.
type request struct {
	ID      string        `json:"id"`
	Branch  string        `json:"branch"`
	Made    time.Time     `json:"made"` // by the server's clock
	Intent  Intent        `json:"intent"`
	Message Message       `json:"message"`
	Author  git.Signature `json:"author"`
	Key     string        `json:"key,omitempty"` // fingerprint of the key that signs; "": none
}

const (
	requestFile = "request.json"
	sealFile    = "seal"
	signedFile  = "signature" // by the writer's key, where it has one
	// requestTrailer tells the writer of a request which commit is its own.
	requestTrailer = "Lockstep-Request"
	// requestLife is how long a request counts. Its writer waits for it and
	// takes it back; one that is older was left by a writer that died, and what
	// it wanted may not be wanted any more.
	requestLife = 10 * time.Minute
	// mostRequests bounds what one push carries out.
	mostRequests = 256
	// idSeal is how many hexadecimal digits of a seal an id ends with.
	idSeal = 16
)

// requestsPrefix is in front of all requests.
const requestsPrefix = "refs/lockstep/requests/"

// requestsOf is where the requests for a branch are.
func requestsOf(branch string) string {
	sum := sha256.Sum256([]byte(branch))
	return requestsPrefix + hex.EncodeToString(sum[:6]) + "/"
}

// scope is what an id's seal is made for: a branch and, where the writer signs,
// its key.
func scope(branch string, key *signature.Key) string {
	if key == nil {
		return branch
	}
	return branch + "\n" + key.ID()
}

// newID makes an id: ids sort by the time at which they were made, as far as
// clocks agree. That only says who goes first.
func newID(remote *git.Remote, scope string, now time.Time) (id string, ok bool) {
	var random [8]byte
	rand.Read(random[:])
	id = fmt.Sprintf("%012x-%x", now.UnixMilli(), random)
	seal, ok := remote.Seal([]byte(scope + "\n" + id))
	if !ok {
		return "", false
	}
	return id + "-" + seal[:idSeal], true
}

// believed reports whether an id was made with our credential.
func believed(remote *git.Remote, scope, id string) bool {
	at := strings.LastIndexByte(id, '-')
	if at < 0 {
		return false
	}
	seal, ok := remote.Seal([]byte(scope + "\n" + id[:at]))
	return ok && seal[:idSeal] == id[at+1:]
}

// write makes the request's commit.
func (r request) write(remote *git.Remote, into *git.Repository, key *signature.Key) (git.Hash, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	seal, ok := remote.Seal(text)
	if !ok {
		return "", errors.New("a request without a credential to seal it")
	}
	files := []git.File{
		{Path: requestFile, Content: text, Mode: git.Regular},
		{Path: sealFile, Content: []byte(seal + "\n"), Mode: git.Regular},
	}
	if key != nil {
		signed, err := key.Sign(signature.Request, text)
		if err != nil {
			return "", err
		}
		files = append(files, git.File{Path: signedFile, Content: []byte(signed), Mode: git.Regular})
	}
	author := r.Author
	author.When = r.Made
	return into.Commit(git.CommitOptions{
		Author: author, Message: r.Message.Text,
		Files: files, Key: key,
	})
}

var errNotBelieved = errors.New("the request is not one of ours")

// sealed reports whether a seal is that of our credential.
func sealed(remote *git.Remote, seal, text []byte) bool {
	want, ok := remote.Seal(text)
	return ok && hmac.Equal(bytes.TrimSpace(seal), []byte(want))
}

// readRequest reads a request that is meant for this ref and carries our seal
// and, where we have a key, its signature. errNotBelieved for everything else that a commit may hold.
func readRequest(remote *git.Remote, from *git.Repository, branch string, ref git.Ref, key *signature.Key) (request, error) {
	var r request
	text, err := from.Read(ref.Hash, requestFile)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	got, err := from.Read(ref.Hash, sealFile)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	if !sealed(remote, got, text) {
		return r, fmt.Errorf("%w: its seal is another's", errNotBelieved)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	if r.Branch != branch || requestsOf(branch)+r.ID != ref.Name || !slices.Contains(kinds, r.Intent.Kind) {
		return r, fmt.Errorf("%w: it was made for another place", errNotBelieved)
	}
	return r, r.checkSigned(from, ref, text, key)
}

// checkSigned holds a request against our key: both have the same, or none.
func (r request) checkSigned(from *git.Repository, ref git.Ref, text []byte, key *signature.Key) error {
	if r.Key != key.ID() {
		return fmt.Errorf("%w: its writer signs with another key", errNotBelieved)
	}
	if key == nil {
		return nil
	}
	signed, err := from.Read(ref.Hash, signedFile)
	if err == nil {
		_, err = key.Signers().Verify(signature.Request, text, string(signed), r.Made)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	return nil
}
