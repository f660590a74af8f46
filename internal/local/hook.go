package local

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// maxWebhook is how large a webhook may be: GitHub sends no larger one.
const maxWebhook = 25 << 20

// hook hands a webhook to the caller of this package, unread.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	if s.options.Receive == nil {
		http.NotFound(w, r)
		return
	}
	if r.ContentLength > maxWebhook {
		answerJSON(w, http.StatusRequestEntityTooLarge, problem{Reason: "WebhookTooLarge"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		answerJSON(w, http.StatusRequestEntityTooLarge, problem{Reason: "WebhookTooLarge"})
		return
	}
	if err != nil {
		answerJSON(w, http.StatusBadRequest, problem{Reason: "WebhookUnreadable", Message: err.Error()})
		return
	}
	answer, err := s.options.Receive(r.Context(), Call{Name: r.PathValue("name"), Header: r.Header, Body: body, URL: r.URL.RequestURI()})
	if err != nil {
		f := fault.Of(err)
		s.log.Error("webhook received", "name", r.PathValue("name"), "reason", f.Reason, "error", err)
		answerJSON(w, statusOf(f.Kind), problem{f.Reason, f.Error(), f.Hint})
		return
	}
	answerJSON(w, http.StatusAccepted, answer)
}

// problem is the answer to a webhook that was not taken.
type problem struct {
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// statusOf tells the sender whether sending it again may help.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.KindUsage:
		return http.StatusBadRequest
	case fault.KindRefused:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

func answerJSON(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
