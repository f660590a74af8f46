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
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
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
type request struct {
	ID      string        `json:"id"`
	Branch  string        `json:"branch"`
	Made    time.Time     `json:"made"` // by the server's clock
	Intent  Intent        `json:"intent"`
	Message Message       `json:"message"`
	Author  git.Signature `json:"author"`
}

const (
	requestFile = "request.json"
	sealFile    = "seal"
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

// newID makes an id: ids sort by the time at which they were made, as far as
// clocks agree. That only says who goes first.
func newID(remote *git.Remote, branch string, now time.Time) (id string, ok bool) {
	var random [8]byte
	rand.Read(random[:])
	id = fmt.Sprintf("%012x-%x", now.UnixMilli(), random)
	seal, ok := remote.Seal([]byte(branch + "\n" + id))
	if !ok {
		return "", false
	}
	return id + "-" + seal[:idSeal], true
}

// believed reports whether an id was made with our credential.
func believed(remote *git.Remote, branch, id string) bool {
	at := strings.LastIndexByte(id, '-')
	if at < 0 {
		return false
	}
	seal, ok := remote.Seal([]byte(branch + "\n" + id[:at]))
	return ok && seal[:idSeal] == id[at+1:]
}

// write makes the request's commit.
func (r request) write(remote *git.Remote, into *git.Repository) (git.Hash, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	seal, ok := remote.Seal(text)
	if !ok {
		return "", errors.New("a request without a credential to seal it")
	}
	author := r.Author
	author.When = r.Made
	return into.Commit(git.CommitOptions{
		Author: author, Message: fmt.Sprintf("%s to version %s", r.Intent.Application(), r.Intent.To),
		Files: []git.File{
			{Path: requestFile, Content: text, Mode: git.Regular},
			{Path: sealFile, Content: []byte(seal + "\n"), Mode: git.Regular},
		},
	})
}

var errNotBelieved = errors.New("the request is not one of ours")

// readRequest reads a request that is meant for this ref and carries our seal.
// errNotBelieved for everything else that a commit may hold.
func readRequest(remote *git.Remote, from *git.Repository, branch string, ref git.Ref) (request, error) {
	var r request
	text, err := from.Read(ref.Hash, requestFile)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	got, err := from.Read(ref.Hash, sealFile)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	seal, ok := remote.Seal(text)
	if !ok || !hmac.Equal(bytes.TrimSpace(got), []byte(seal)) {
		return r, fmt.Errorf("%w: its seal is another's", errNotBelieved)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%w: %w", errNotBelieved, err)
	}
	if r.Branch != branch || requestsOf(branch)+r.ID != ref.Name || r.Intent.Kind != Dependency {
		return r, fmt.Errorf("%w: it was made for another place", errNotBelieved)
	}
	return r, nil
}
