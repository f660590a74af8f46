package local

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

// errRefused is an answer that would be the same the next time.
var errRefused = errors.New("the receiver refused it")

// busy is an answer that may be another one later.
type busy struct {
	words string
	after time.Duration // how long the receiver asks to be left alone
}

func (b *busy) Error() string { return b.words }

// send makes one attempt and returns the status of the answer, 0 without one.
func (o *outbox) send(ctx context.Context, d Delivery) (int, error) {
	secret, err := o.secret(d)
	if err != nil {
		return 0, err
	}
	event, err := o.repositories.pushed(ctx, o.base, d)
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(event)
	if err != nil {
		return 0, err
	}
	url := d.URL
	if strings.HasPrefix(url, "/") {
		url = o.base + url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	}
	req.Header = header(d, body, secret)
	resp, err := o.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, verdict(resp)
}

// secret is what the webhook is signed with now. It may have changed, or the
// webhook may be gone, since the push.
func (o *outbox) secret(d Delivery) (string, error) {
	hooks, err := o.repositories.Webhooks(d.Repository)
	if err != nil {
		return "", err
	}
	for _, h := range hooks {
		if h.URL == d.URL {
			return h.Secret, nil
		}
	}
	return "", fmt.Errorf("%w: the repository has this webhook no more", errRefused)
}

// header is what GitHub sends with a push; Gitea sends the same beside its own.
func header(d Delivery, body []byte, secret string) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "lockstep-local")
	h.Set("X-GitHub-Event", "push")
	h.Set("X-GitHub-Delivery", d.ID)
	if secret != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		h.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return h
}

// verdict says what an answer means. Of other servers' words 300 bytes are kept.
func verdict(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return &busy{words: fmt.Sprintf("%s: %s", resp.Status, bytes.TrimSpace(text)), after: retry.After(resp.Header)}
	}
	return fmt.Errorf("%w: %s: %s", errRefused, resp.Status, bytes.TrimSpace(text))
}
