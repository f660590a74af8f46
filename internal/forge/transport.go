package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/redact"
	"github.com/lockstep-cd/lockstep/internal/retry"
)

// Bounds of one question.
const (
	questionTimeout = 30 * time.Second
	mostBytes       = 8 << 20 // of an answer
	mostWords       = 300     // characters of a forge's message that are repeated
	tries           = 4
	longestWait     = 2 * time.Minute // for all of its tries, and for what a forge may ask for
)

// errOdd: an answer that no forge gives, which asking again does not mend.
var errOdd = errors.New("not a forge's answer")

// answer is a forge's refusal.
type answer struct {
	status int
	words  string
	after  time.Duration // how long it asks to be left alone
}

func (a *answer) Error() string {
	if a.words == "" {
		return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	}
	return fmt.Sprintf("%d %s", a.status, a.words)
}

// door is the way to one forge. It puts the credential on requests to that
// forge's own host, and turns every refusal into an *answer.
type door struct {
	home       *url.URL
	kind       Kind
	credential func() (user, password string, ok bool, err error)
	next       http.RoundTripper
}

func newClient(o Options, kind Kind, home *url.URL) *http.Client {
	next := o.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	d := &door{home: home, kind: kind, credential: o.Credential, next: next}
	return &http.Client{Transport: d, CheckRedirect: d.checkRedirect}
}

// checkRedirect lets a forge send us on to another of its own pages only.
func (d *door) checkRedirect(r *http.Request, before []*http.Request) error {
	if !d.atHome(r.URL) {
		return fmt.Errorf("%w: it sends us to %s, which is another host", errOdd, r.URL.Host)
	}
	if len(before) > 5 {
		return fmt.Errorf("%w: it sends us around in circles", errOdd)
	}
	return nil
}

func (d *door) atHome(u *url.URL) bool {
	return strings.EqualFold(u.Scheme, d.home.Scheme) && strings.EqualFold(u.Host, d.home.Host)
}

// RoundTrip asks again where the forge is busy: a question that changes nothing
// also when it is out of reach, others only when the forge says that it did
// not do it.
func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var response *http.Response
	policy := retry.Policy{For: longestWait, Tries: tries, Of: r.URL.Host}
	err = policy.Do(r.Context(), d.judge(r.Method), func(context.Context) (err error) {
		var secret string
		response, secret, err = d.once(r, body)
		return redact.Error(err, secret)
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// once asks one time, and reads the whole answer.
func (d *door) once(r *http.Request, body []byte) (response *http.Response, secret string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), questionTimeout)
	defer cancel()
	request := r.Clone(ctx)
	if body != nil {
		request.Body = io.NopCloser(bytes.NewReader(body))
	}
	if request.Header == nil {
		request.Header = http.Header{}
	}
	if secret, err = d.authorize(request); err != nil {
		return nil, secret, err
	}
	response, err = d.next.RoundTrip(request)
	if err != nil {
		return nil, secret, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostBytes+1))
	if err != nil {
		return nil, secret, fmt.Errorf("read the answer: %w", err)
	}
	if len(text) > mostBytes {
		return nil, secret, fmt.Errorf("%w: it is larger than %d MiB", errOdd, mostBytes>>20)
	}
	if response.StatusCode >= 400 {
		return nil, secret, &answer{response.StatusCode, words(text, append(hidden(r.Context()), secret)...), retry.After(response.Header)}
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response, secret, nil
}

// authorize puts the credential on a request, in the form that the forge takes
// for users with passwords and for tokens.
func (d *door) authorize(r *http.Request) (secret string, err error) {
	if d.credential == nil || !d.atHome(r.URL) {
		return "", nil
	}
	user, password, ok, err := d.credential()
	if err != nil || !ok {
		return "", err
	}
	basic := d.kind == Gitea || d.kind == Bitbucket || d.kind == BitbucketServer
	if basic && user != "" && user != "x-token-auth" {
		r.SetBasicAuth(user, password)
	} else {
		r.Header.Set("Authorization", "Bearer "+password)
	}
	return password, nil
}

// words are what a forge says about its refusal, from the forms of JSON that
// they use, without the secrets.
func words(text []byte, secrets ...string) string {
	var said struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(text, &said) != nil {
		return ""
	}
	var all []string
	for _, part := range []json.RawMessage{said.Message, said.Error, said.Errors} {
		var s string
		switch {
		case len(part) == 0 || string(part) == "null":
		case json.Unmarshal(part, &s) == nil:
			all = append(all, s)
		default:
			all = append(all, string(part))
		}
	}
	line := redact.Text(strings.Join(strings.Fields(strings.Join(all, ": ")), " "), secrets...)
	if runes := []rune(line); len(runes) > mostWords {
		return string(runes[:mostWords]) + "…"
	}
	return line
}

// judge says of a method's errors whether to ask again, and after how long at least.
func (*door) judge(method string) retry.Judge {
	return func(err error) (time.Duration, bool) {
		a, said := errors.AsType[*answer](err)
		if !said {
			return 0, method == http.MethodGet && retryable(err)
		}
		return a.after, retry.Busy(a.status, a.after) || method == http.MethodGet && a.status >= 500
	}
}

// retryable reports whether an error may go away by itself.
func retryable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errOdd) {
		return false
	}
	if a, said := errors.AsType[*answer](err); said {
		return a.status >= 500 || retry.Busy(a.status, a.after)
	}
	_, wire := errors.AsType[net.Error](err)
	return wire || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (r *Repository) explain(what string, err error) error {
	return explain(fmt.Sprintf("%s of %s", what, r.link), err)
}

// explain says what an error of a forge means for the user.
func explain(what string, err error) error {
	if fault.Of(err).Reason != fault.Unclassified {
		return err
	}
	err = fmt.Errorf("%s: %w", what, err)
	a, said := errors.AsType[*answer](err)
	switch {
	case errors.Is(err, errOdd):
		return fault.Refused("ForgeRefused", err, "Check the repository's URL and the proxy.")
	case retryable(err) || !said:
		return fault.Retryable("ForgeUnavailable", err, "The forge is busy or out of reach. Try again.")
	case a.status == http.StatusUnauthorized:
		return fault.Refused("ForgeAuthenticationFailed", err, "The forge does not take the Git credential for its API. Use a token with the rights that docs/pull-requests.md and docs/commit-statuses.md list.")
	case a.status == http.StatusForbidden:
		return fault.Refused("ForgePermissionDenied", err, "The token lacks a right; docs/pull-requests.md and docs/commit-statuses.md list them.")
	case a.status == http.StatusNotFound:
		return fault.Refused("ForgeNotFound", err, "Check the repository's URL, the parameter forge, and that the token may see the repository.")
	}
	return fault.Refused("ForgeRefused", err, "")
}
