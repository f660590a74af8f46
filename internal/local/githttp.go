package local

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// maxPush is how large one push may be.
const maxPush = 4 << 30

// repositoryOf is the repository that a request names, or an answer was given.
func (s *Server) repositoryOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	short, isGit := strings.CutSuffix(r.PathValue("name"), ".git")
	name := r.PathValue("owner") + "/" + short
	if err := s.exists(name); !isGit || err != nil {
		http.Error(w, "no such repository", http.StatusNotFound)
		return "", false
	}
	return name, true
}

// advertise lists refs. Only the smart protocol is spoken: the old one reads
// files of the repository.
func (s *Server) advertise(w http.ResponseWriter, r *http.Request) {
	name, ok := s.repositoryOf(w, r)
	if !ok {
		return
	}
	if service := r.URL.Query().Get("service"); service != "git-upload-pack" && service != "git-receive-pack" {
		http.Error(w, "this server speaks Git's smart protocol only", http.StatusForbidden)
		return
	}
	s.answerGit(r.Context(), w, r, name, "/info/refs", nil)
}

func (s *Server) fetch(w http.ResponseWriter, r *http.Request) {
	name, ok := s.repositoryOf(w, r)
	if !ok {
		return
	}
	body, err := s.whole(w, r)
	if err != nil {
		s.unread(w, err)
		return
	}
	defer discard(body)
	s.answerGit(r.Context(), w, r, name, "/git-upload-pack", body)
}

// push takes one push of a repository at a time: what it changed is what the
// refs say before and after. It is received whole before that, so that a slow
// sender keeps nobody waiting.
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	name, ok := s.repositoryOf(w, r)
	if !ok {
		return
	}
	body, err := s.whole(w, r)
	if err != nil {
		s.unread(w, err)
		return
	}
	defer discard(body)
	// A push that is whole is carried out and told also when its sender hangs up.
	ctx := s.requests
	unlock := s.pushing.lock(name)
	defer unlock()
	before, err := s.refs(ctx, name)
	if err != nil {
		s.log.Error("read the refs", "repository", name, "error", err)
		http.Error(w, "the repository cannot be read", http.StatusInternalServerError)
		return
	}
	s.answerGit(ctx, w, r, name, "/git-receive-pack", body)
	after, err := s.refs(ctx, name)
	if err != nil {
		s.log.Error("read the refs after a push: no webhook is sent", "repository", name, "error", err)
		return
	}
	pusher, _, _ := r.BasicAuth()
	if err := s.outbox.add(name, pusher, changed(before, after)); err != nil {
		s.log.Error("note the webhooks of a push", "repository", name, "error", err)
	}
}

// whole reads a request into a file. http-backend wants to know its length,
// which git does not tell where it sends more than a megabyte.
func (s *Server) whole(w http.ResponseWriter, r *http.Request) (*os.File, error) {
	f, err := os.CreateTemp(s.spool(), "push-")
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(f, http.MaxBytesReader(w, r.Body, maxPush)); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		discard(f)
		return nil, err
	}
	return f, nil
}

func discard(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

func (s *Server) unread(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		status = http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, syscall.ENOSPC) {
		status = http.StatusInsufficientStorage
	}
	s.log.Error("receive a request of git", "error", err)
	http.Error(w, fmt.Sprintf("receive the request: %v", err), status)
}
