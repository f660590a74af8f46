package local

import (
	"net/http"
	"os"
	"slices"

	"github.com/lockstep-cd/lockstep/internal/redact"
)

// Status is what GET /status answers.
type Status struct {
	PID          int                `json:"pid"`
	Folder       string             `json:"folder"`
	URL          string             `json:"url"`
	Git          string             `json:"git"`      // <git>/<owner>/<name>.git
	Registry     string             `json:"registry"` // host:port, as references name it
	Hooks        string             `json:"hooks"`    // <hooks>/<name>
	Repositories []RepositoryStatus `json:"repositories"`
	Deliveries   []Delivery         `json:"deliveries"` // newest first
}

// RepositoryStatus is one repository. Of its webhooks only the addresses show.
type RepositoryStatus struct {
	Name     string   `json:"name"`
	CloneURL string   `json:"cloneURL"`
	Webhooks []string `json:"webhooks"`
}

// health is what GET /healthz answers: also who answers, so that whoever
// waits for a certain server is not content with another one.
type health struct {
	Status string `json:"status"`
	PID    int    `json:"pid"`
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, health{"ok", os.Getpid()})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	url := "http://" + s.address
	status := Status{
		PID: os.Getpid(), Folder: s.dir, URL: url, Git: url + "/git", Registry: s.address, Hooks: url + "/hooks",
		Repositories: []RepositoryStatus{}, Deliveries: []Delivery{},
	}
	names, err := s.List()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, name := range names {
		one := RepositoryStatus{Name: name, CloneURL: status.Git + "/" + bare(name), Webhooks: []string{}}
		hooks, err := s.Webhooks(name)
		if err != nil {
			s.log.Error("read the webhooks", "repository", name, "error", err)
		}
		for _, h := range hooks {
			one.Webhooks = append(one.Webhooks, redact.Text(redact.URL(h.URL)))
		}
		status.Repositories = append(status.Repositories, one)
	}
	for _, d := range slices.Backward(s.journal.list()) {
		status.Deliveries = append(status.Deliveries, d.shown())
	}
	answerJSON(w, http.StatusOK, status)
}
