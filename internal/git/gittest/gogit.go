package gittest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
)

// NewGoGitServer starts a host that is go-git's server behind smart HTTP. It
// speaks version 0 alone, without side-bands, and can neither cut history nor
// move several refs in one step; commits that no ref points to are handed out.
// It does not compare what it swaps, so that is done here, as every real host
// does it.
func NewGoGitServer(t testing.TB) *Server {
	s := start(t, httptestServer)
	s.host = &goGit{dir: s.Dir, server: server.NewServer(server.NewFilesystemLoader(osfs.New(s.Dir, osfs.WithBoundOS())))}
	return s
}

type goGit struct {
	dir    string
	server transport.Transport
	mu     sync.Mutex
}

func (g *goGit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var b bytes.Buffer
	folder, service := path.Split(r.URL.Path)
	kind := "result"
	serve := map[string]func(*transport.Endpoint, io.Reader, *bytes.Buffer) error{
		"git-upload-pack": g.upload, "git-receive-pack": g.receive,
	}[service]
	if service == "refs" {
		folder, service, kind = strings.TrimSuffix(folder, "info/"), r.URL.Query().Get("service"), "advertisement"
		serve = func(e *transport.Endpoint, _ io.Reader, b *bytes.Buffer) error { return g.advertise(e, service, b) }
	}
	if _, err := os.Stat(path.Join(g.dir, folder)); err != nil || serve == nil {
		http.NotFound(w, r)
		return
	}
	if err := serve(&transport.Endpoint{Path: folder}, r.Body, &b); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-"+kind)
	_, _ = w.Write(b.Bytes())
}

func (g *goGit) advertise(e *transport.Endpoint, service string, b *bytes.Buffer) error {
	var session transport.Session
	var err error
	if service == "git-receive-pack" {
		session, err = g.server.NewReceivePackSession(e, nil)
	} else {
		session, err = g.server.NewUploadPackSession(e, nil)
	}
	if err != nil {
		return err
	}
	refs, err := session.AdvertisedReferences()
	if err != nil {
		return err
	}
	refs.Prefix = [][]byte{[]byte("# service=" + service), pktline.Flush}
	return refs.Encode(b)
}

func (g *goGit) upload(e *transport.Endpoint, in io.Reader, b *bytes.Buffer) error {
	session, err := g.server.NewUploadPackSession(e, nil)
	if err != nil {
		return err
	}
	req := packp.NewUploadPackRequest()
	if err := req.UploadRequest.Decode(in); err != nil {
		return err
	}
	store, err := server.NewFilesystemLoader(osfs.New(g.dir, osfs.WithBoundOS())).Load(e)
	if err != nil {
		return err
	}
	for lines := pktline.NewScanner(in); lines.Scan(); {
		name, ok := strings.CutPrefix(strings.TrimSpace(string(lines.Bytes())), "have ")
		if have := plumbing.NewHash(name); ok && store.HasEncodedObject(have) == nil {
			req.Haves = append(req.Haves, have) // it fails at those that it does not have
		}
	}
	answer, err := session.UploadPack(noContext, req)
	if err != nil {
		return err
	}
	return answer.Encode(b)
}

func (g *goGit) receive(e *transport.Endpoint, in io.Reader, b *bytes.Buffer) error {
	session, err := g.server.NewReceivePackSession(e, nil)
	if err != nil {
		return err
	}
	req := packp.NewReferenceUpdateRequest()
	if err := req.Decode(in); err != nil {
		return err
	}
	refs, err := session.AdvertisedReferences()
	if err != nil {
		return err
	}
	stale := slices.IndexFunc(req.Commands, func(c *packp.Command) bool { return refs.References[string(c.Name)] != c.Old })
	if stale >= 0 || req.Capabilities.Supports(capability.Atomic) {
		report := packp.NewReportStatus()
		report.UnpackStatus = "ok"
		for _, c := range req.Commands {
			report.CommandStatuses = append(report.CommandStatuses, &packp.CommandStatus{ReferenceName: c.Name, Status: "it is elsewhere"})
		}
		return report.Encode(b)
	}
	if onlyDeletes(req) {
		req.Packfile = nil
	}
	report, err := session.ReceivePack(noContext, req)
	if report == nil {
		return fmt.Errorf("no report: %w", err)
	}
	return report.Encode(b)
}

func onlyDeletes(req *packp.ReferenceUpdateRequest) bool {
	return !slices.ContainsFunc(req.Commands, func(c *packp.Command) bool { return c.Action() != packp.Delete })
}
