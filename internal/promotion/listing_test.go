package promotion_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// TestRow04_ListedWhileItWasCarriedOut: a server lists its refs one after the other.
// Here the branch is listed from before a push that carried our request out, and the
// requests from after it. The request is gone, and its commit is found nevertheless.
func TestRow04_ListedWhileItWasCarriedOut(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	id, seal, text := sealed(t, r.remote(t), time.Now())
	r.leave(t, id, seal, text) // in front of ours, which has to wait
	var listed atomic.Bool
	r.server.Before(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost || !gittest.IsFetch(req) {
			return false
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		waiting := strings.Fields(r.repository.Git("for-each-ref", "--format=%(refname)", "refs/lockstep/requests"))
		if !bytes.Contains(body, []byte("refs/lockstep/requests")) || len(waiting) != 2 || !listed.CompareAndSwap(false, true) {
			return false
		}
		before := answerTo(t, r.server.URL+req.URL.Path, req.Header, body)
		if _, err := r.promote(t.Context(), 2); err != nil { // takes both along
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, err = w.Write(without(t, before, "refs/lockstep/requests"))
		return err == nil
	})
	landed, err := r.promote(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if !listed.Load() {
		t.Fatal("nobody waited")
	}
	own := r.repository.Git("log", "--format=%H", "--grep", "app-00", "main")
	if landed.Outcome != promotion.Promoted || string(landed.Commit) != own {
		t.Errorf("got %s at %s, want promoted at %q", landed.Outcome, landed.Commit, own)
	}
}

// answerTo is what the host answers to a request.
func answerTo(t *testing.T, url string, header http.Header, body []byte) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// without takes the packets with a text out of an answer.
func without(t *testing.T, answer []byte, text string) []byte {
	t.Helper()
	var out []byte
	for len(answer) >= 4 {
		length, err := strconv.ParseUint(string(answer[:4]), 16, 16)
		if err != nil {
			t.Fatalf("%.40q is no packet", answer)
		}
		packet := answer[:max(length, 4)] // below 4: a mark
		if answer = answer[len(packet):]; !bytes.Contains(packet, []byte(text)) {
			out = append(out, packet...)
		}
	}
	return out
}
