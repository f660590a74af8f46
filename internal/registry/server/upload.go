package server

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// upload receives a blob in pieces. go-containerregistry would hold them in
// memory, under one lock for all.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, repository, id string) {
	digest := r.URL.Query().Get("digest")
	switch {
	case r.Method == http.MethodPost && id == "" && digest != "":
		s.finish(w, r, repository, digest, r.Body) // the whole blob at once
	case r.Method == http.MethodPost && id == "":
		s.begin(w, repository)
	case id == "":
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", r.Method+" to no upload")
	case r.Method == http.MethodPatch:
		s.resume(w, r, repository, id)
	case r.Method == http.MethodPut:
		s.complete(w, r, repository, id, digest)
	case r.Method == http.MethodDelete:
		_ = s.root.Remove(uploadsDir + "/" + id)
		w.WriteHeader(http.StatusNoContent)
	default:
		s.progress(w, repository, id, http.StatusNoContent)
	}
}

func (s *Server) begin(w http.ResponseWriter, repository string) {
	id := rand.Text()
	f, err := s.root.OpenFile(uploadsDir+"/"+id, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		unstored(w, err)
		return
	}
	f.Close()
	s.progress(w, repository, id, http.StatusAccepted)
}

// resume appends a piece; one that does not begin where the last ended is
// refused.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, repository, id string) {
	f, err := s.root.OpenFile(uploadsDir+"/"+id, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "this upload is not there")
		return
	}
	defer f.Close()
	var start int64
	info, err := f.Stat()
	if err != nil {
		unstored(w, err)
		return
	}
	if n, _ := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-", &start); n == 1 && start != info.Size() {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("the next piece begins at %d", info.Size()))
		return
	}
	if _, err := io.Copy(f, r.Body); err != nil {
		unstored(w, err)
		return
	}
	s.progress(w, repository, id, http.StatusAccepted)
}

// progress says how much of an upload is there.
func (s *Server) progress(w http.ResponseWriter, repository, id string, status int) {
	info, err := s.root.Stat(uploadsDir + "/" + id)
	if err != nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "this upload is not there")
		return
	}
	w.Header().Set("Location", "/v2/"+repository+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(info.Size()-1, 0)))
	w.WriteHeader(status)
}

// complete makes a blob of an upload and of what this request brings.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, repository, id, digest string) {
	f, err := s.root.Open(uploadsDir + "/" + id)
	if err != nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "this upload is not there")
		return
	}
	defer s.root.Remove(uploadsDir + "/" + id)
	defer f.Close()
	s.finish(w, r, repository, digest, io.MultiReader(f, r.Body))
}

// finish gives a blob to the protocol's handler in one piece, which it checks
// and stores while it reads.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, repository, digest string, content io.Reader) {
	whole := r.Clone(r.Context())
	whole.Method, whole.Body, whole.ContentLength = http.MethodPost, io.NopCloser(content), -1
	whole.URL = &url.URL{Path: "/v2/" + repository + "/blobs/uploads/", RawQuery: url.Values{"digest": {digest}}.Encode()}
	w.Header().Set("Location", "/v2/"+repository+"/blobs/"+digest)
	s.inner.ServeHTTP(w, whole)
}

func unstored(w http.ResponseWriter, err error) {
	refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
}
