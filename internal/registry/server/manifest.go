package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
)

// maxManifest is how large a manifest may be, as registries agree.
const maxManifest = 4 << 20

// stored is a manifest as it lies in its file, which is named by tag or digest.
type stored struct {
	repository, target string
	MediaType          string `json:"mediaType"`
	Content            []byte `json:"content"`
}

// file has the repository's slashes escaped: a folder for each repository.
func (m stored) file() string {
	return manifestsDir + "/" + url.PathEscape(m.repository) + "/" + m.target
}

func (m stored) request(method string) *http.Request {
	return &http.Request{
		Method: method, URL: &url.URL{Path: "/v2/" + m.repository + "/manifests/" + m.target},
		Header: http.Header{"Content-Type": {m.MediaType}},
		Body:   io.NopCloser(bytes.NewReader(m.Content)), ContentLength: int64(len(m.Content)),
	}
}

// change puts or deletes a manifest. The answer says yes only when both the
// protocol's handler and the disk have it.
func (s *Server) change(w http.ResponseWriter, r *http.Request, repository, target string) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", err.Error())
		return
	}
	m := stored{repository, target, r.Header.Get("Content-Type"), content}
	s.storing.Lock()
	defer s.storing.Unlock()
	answer := s.tell(m, r.Method)
	if answer.status == http.StatusCreated {
		digest := m
		digest.target = answer.header.Get("Docker-Content-Digest")
		err = errors.Join(s.write(digest), s.write(m))
	} else if answer.status == http.StatusAccepted {
		err = s.root.Remove(m.file())
	}
	if err != nil {
		if r.Method == http.MethodPut {
			s.tell(m, http.MethodDelete)
		}
		unstored(w, fmt.Errorf("store manifest %s of %s: %w", target, repository, err))
		return
	}
	answer.copyTo(w)
}

func (s *Server) write(m stored) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := s.root.Mkdir(manifestsDir+"/"+url.PathEscape(m.repository), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return writeWhole(s.root, m.file(), bytes.NewReader(text))
}

func (s *Server) tell(m stored, method string) *answer {
	a := &answer{header: http.Header{}, status: http.StatusOK}
	s.inner.ServeHTTP(a, m.request(method))
	return a
}

// restoreManifests tells the protocol's handler every manifest on disk. An
// index is refused before the manifests that it lists, so those refused are
// tried again as long as any is taken.
func (s *Server) restoreManifests() error {
	waiting, err := s.readManifests()
	if err != nil {
		return err
	}
	for len(waiting) > 0 {
		var refused []stored
		for _, m := range waiting {
			if s.tell(m, http.MethodPut).status != http.StatusCreated {
				refused = append(refused, m)
			}
		}
		if len(refused) == len(waiting) {
			return fmt.Errorf("%s: a manifest that it lists is not there", refused[0].file())
		}
		waiting = refused
	}
	return nil
}

func (s *Server) readManifests() ([]stored, error) {
	var all []stored
	err := fs.WalkDir(s.root.FS(), manifestsDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		m, err := s.readManifest(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, m)
		return nil
	})
	return all, err
}

func (s *Server) readManifest(path string) (m stored, err error) {
	text, err := s.root.ReadFile(path)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	folder, target, _ := bytes.Cut([]byte(path[len(manifestsDir)+1:]), []byte("/"))
	m.target = string(target)
	m.repository, err = url.PathUnescape(string(folder))
	return m, err
}

// answer holds a response back.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) copyTo(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}
