// Package server is an OCI registry whose content lies in a folder, for a
// machine without a registry. It asks for no login: whoever reaches it may read
// and write. It collects no garbage.
//
// go-containerregistry's registry speaks the protocol. That one keeps manifests
// and unfinished uploads in memory only; here they are files.
package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"regexp"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Server answers everything below /v2/. It is safe for concurrent use; two of
// them must not share a folder.
type Server struct {
	root  *os.Root
	inner http.Handler
	// storing makes what the protocol's handler knows and what the files hold
	// change together.
	storing sync.Mutex
}

// Open reads what earlier servers left in dir, which is made where it is not
// there. Content that is damaged is an error that names the file.
func Open(dir string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the registry in %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the registry in %s: %w", dir, err)
	}
	s := &Server{root: root}
	s.inner = registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(blobs{root}), registry.WithReferrersSupport(true))
	if err := s.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the registry in %s: %w", dir, err), root.Close())
	}
	return s, nil
}

// Close lets go of the folder. No request may follow.
func (s *Server) Close() error { return s.root.Close() }

func (s *Server) restore() error {
	// What was not finished when the last server ended never will be.
	if err := s.root.RemoveAll(uploadsDir); err != nil {
		return err
	}
	for _, dir := range []string{uploadsDir, blobsDir, manifestsDir} {
		if err := s.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return s.restoreManifests()
}

// The paths of the distribution specification, with its rule for names.
var (
	repository   = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*`
	uploadPath   = regexp.MustCompile(`^/v2/(` + repository + `)/blobs/uploads/([A-Z0-9]*)$`)
	manifestPath = regexp.MustCompile(`^/v2/(` + repository + `)/manifests/([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}|sha256:[0-9a-f]{64})$`)
	uploadsDir   = "uploads"
	blobsDir     = "blobs"
	manifestsDir = "manifests"
)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	writes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if at := uploadPath.FindStringSubmatch(r.URL.Path); at != nil {
		s.upload(w, r, at[1], at[2])
		return
	}
	if at := manifestPath.FindStringSubmatch(r.URL.Path); at != nil && writes {
		s.change(w, r, at[1], at[2])
		return
	}
	if writes {
		refuse(w, http.StatusBadRequest, "NAME_INVALID", "no name or digest of the distribution specification: "+r.URL.Path)
		return
	}
	s.inner.ServeHTTP(w, r)
}

// refuse answers in the specification's form.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`+"\n", code, message)
}
