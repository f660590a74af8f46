package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

// agent is how requests name themselves. Some hosts speak the smart protocol
// only to agents that start with "git/".
const agent = "git/2.40-lockstep"

// maxRedirects is what the git program allows.
const maxRedirects = 20

// ErrUnauthorized: status 401 to the credentials that were sent, or to none.
var ErrUnauthorized = errors.New("the server wants other credentials")

// Authorize puts credentials on a request, if some are meant for exactly its
// URL's scheme, host and port. It is asked for each request; fresh is set after
// a 401: read them again from where they come from.
type Authorize func(req *http.Request, fresh bool) error

// HTTP is the smart HTTP protocol. Client must not follow redirects by itself:
// whether credentials may go along is decided here.
type HTTP struct {
	Client    *http.Client
	URL       *url.URL // of the repository, without userinfo
	Authorize Authorize

	mu   sync.Mutex
	base *url.URL // after redirects
}

// NewHTTPClient is a client for HTTP with this round tripper.
func NewHTTPClient(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Open asks for the service's greeting.
func (h *HTTP) Open(ctx context.Context, service string, version int) (Session, error) {
	u := h.endpoint().JoinPath("info", "refs")
	u.RawQuery = "service=" + service
	resp, err := h.get(ctx, u, version)
	if err != nil {
		return nil, err
	}
	want := "application/x-" + service + "-advertisement"
	if got := mediaType(resp); got != want {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: %s answers with %q, not as a Git server does", ErrProtocol, u.Host, got)
	}
	body := newPktReader(resp.Body)
	if err := skipBanner(body); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return &httpSession{http: h, service: service, version: version, greeting: body.r, body: resp.Body}, nil
}

// Resume starts right with a request: over HTTP nothing is kept between them.
func (h *HTTP) Resume(ctx context.Context, service string, version int) Session {
	return &httpSession{http: h, service: service, version: version, greeting: bytes.NewReader(nil)}
}

func (h *HTTP) endpoint() *url.URL {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.base != nil {
		return h.base
	}
	return h.URL
}

// skipBanner skips "# service=…" and the flush after it. A version 2 greeting
// comes without them from some servers.
func skipBanner(p *pktReader) error {
	head, err := p.r.Peek(6)
	if err != nil {
		return fmt.Errorf("read the server's greeting: %w", noEOF(err))
	}
	if string(head[4:]) != "# " {
		return nil
	}
	for {
		kind, _, err := p.next()
		if err != nil {
			return fmt.Errorf("read the server's greeting: %w", noEOF(err))
		}
		if kind == pktFlush {
			return nil
		}
	}
}

type httpSession struct {
	http     *HTTP
	service  string
	version  int
	greeting io.Reader
	body     io.Closer
}

func (s *httpSession) Greeting() io.Reader { return s.greeting }

func (s *httpSession) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

func (s *httpSession) Exchange(ctx context.Context, request []byte) (io.ReadCloser, error) {
	u := s.http.endpoint().JoinPath(s.service)
	resp, err := s.http.send(ctx, func(fresh bool) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(request))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-"+s.service+"-request")
		req.Header.Set("Accept", "application/x-"+s.service+"-result")
		return req, s.http.dress(req, s.version, fresh)
	})
	if err != nil {
		return nil, err
	}
	if want := "application/x-" + s.service + "-result"; mediaType(resp) != want {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: %s answers with %q, not as a Git server does", ErrProtocol, u.Host, mediaType(resp))
	}
	return resp.Body, nil
}

// get follows redirects of the first request, as git does by default, and
// remembers where they led. A request that carries objects never follows one.
func (h *HTTP) get(ctx context.Context, u *url.URL, version int) (*http.Response, error) {
	for range maxRedirects {
		resp, err := h.send(ctx, func(fresh bool) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
			if err != nil {
				return nil, err
			}
			return req, h.dress(req, version, fresh)
		})
		if err == nil {
			h.moveTo(u)
			return resp, nil
		}
		next, is := errors.AsType[*redirect](err)
		if !is {
			return nil, err
		}
		if u, err = next.from(u); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: more than %d redirects", ErrProtocol, maxRedirects)
}

func (h *HTTP) moveTo(refs *url.URL) {
	base := *refs
	base.RawQuery = ""
	base.Path = strings.TrimSuffix(base.Path, "/info/refs")
	base.RawPath = ""
	h.mu.Lock()
	h.base = &base
	h.mu.Unlock()
}

// dress adds what every request carries. Credentials are looked up for the
// very host the request goes to: what was meant for another never comes along.
func (h *HTTP) dress(req *http.Request, version int, fresh bool) error {
	req.Header.Set("User-Agent", agent)
	if version > 0 {
		req.Header.Set("Git-Protocol", "version="+strconv.Itoa(version))
	}
	return h.Authorize(req, fresh)
}

// send sends a request, once more with credentials read again after a 401.
func (h *HTTP) send(ctx context.Context, build func(fresh bool) (*http.Request, error)) (*http.Response, error) {
	for _, fresh := range []bool{false, true} {
		req, err := build(fresh)
		if err != nil {
			return nil, err
		}
		resp, err := h.Client.Do(req)
		if err != nil {
			return nil, stripURL(err)
		}
		if err = judge(resp); err == nil {
			return resp, nil
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			return nil, err
		}
	}
	return nil, ErrUnauthorized
}

// stripURL takes the URL out of a client error: callers name it already,
// without what must not be shown.
func stripURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

func judge(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code >= 300 && code < 400 && resp.Header.Get("Location") != "":
		return &redirect{to: resp.Header.Get("Location")}
	default:
		return &HTTPError{Status: code, Message: excerpt(resp), RetryAfter: retry.After(resp.Header)}
	}
}

// excerpt is the start of a plain-text answer: hosts put their reason there.
func excerpt(resp *http.Response) string {
	if t := mediaType(resp); t != "text/plain" {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	return clean(b)
}

func mediaType(resp *http.Response) string {
	t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return t
}

// redirect is an answer that points elsewhere.
type redirect struct{ to string }

func (r *redirect) Error() string { return "server redirects" }

// from accepts a redirect of the greeting that keeps its form and does not
// leave encryption.
func (r *redirect) from(u *url.URL) (*url.URL, error) {
	next, err := u.Parse(r.to)
	if err != nil {
		return nil, fmt.Errorf("%w: redirect to an invalid URL", ErrProtocol)
	}
	next.User, next.Fragment = nil, ""
	switch {
	case next.Scheme != "https" && (next.Scheme != "http" || u.Scheme == "https"):
		return nil, fmt.Errorf("%w: redirect from %s to %s", ErrProtocol, u.Scheme, next.Scheme)
	case !strings.HasSuffix(next.Path, "/info/refs"):
		return nil, fmt.Errorf("%w: redirect to %s%s, which is no Git repository (a login page?)", ErrProtocol, next.Host, next.Path)
	}
	next.RawQuery = u.RawQuery
	return next, nil
}
