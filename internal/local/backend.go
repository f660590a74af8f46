package local

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// answerGit lets git http-backend answer. It is git's own program for this and
// speaks CGI; unlike net/http/cgi this ends it when ctx ends.
func (s *Server) answerGit(ctx context.Context, w http.ResponseWriter, r *http.Request, name, path string, body *os.File) {
	cmd := exec.CommandContext(ctx, s.git, "http-backend")
	// git ends its children on SIGTERM.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Dir = s.root.Name()
	cmd.Env = append(s.environment(), cgi(r, s.root.Name(), "/"+bare(name)+path, body)...)
	if body != nil {
		cmd.Stdin = body
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.log.Error("start git http-backend", "error", err)
		http.Error(w, "git cannot be started", http.StatusInternalServerError)
		return
	}
	relayed := relay(w, out)
	// Whoever hung up must not stop a push halfway through its output.
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil || relayed != nil {
		s.log.Error("git http-backend", "repository", name, "error", err, "answer", relayed, "stderr", strings.TrimSpace(stderr.String()))
	}
}

// cgi is how http-backend is told of a request.
func cgi(r *http.Request, root, path string, body *os.File) []string {
	env := []string{
		"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "PATH_INFO=" + path, "GATEWAY_INTERFACE=CGI/1.1",
		"REQUEST_METHOD=" + r.Method, "QUERY_STRING=" + r.URL.RawQuery, "SERVER_PROTOCOL=" + r.Proto, "REMOTE_ADDR=" + r.RemoteAddr,
		"CONTENT_TYPE=" + r.Header.Get("Content-Type"), "HTTP_CONTENT_ENCODING=" + r.Header.Get("Content-Encoding"),
	}
	if protocol := r.Header.Get("Git-Protocol"); protocol != "" {
		env = append(env, "HTTP_GIT_PROTOCOL="+protocol, "GIT_PROTOCOL="+protocol)
	}
	if body != nil {
		if info, err := body.Stat(); err == nil {
			env = append(env, "CONTENT_LENGTH="+strconv.FormatInt(info.Size(), 10))
		}
	}
	return env
}

// relay turns a CGI answer into an HTTP one.
func relay(w http.ResponseWriter, out io.Reader) error {
	reader := bufio.NewReader(out)
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil {
		http.Error(w, "git gave no answer", http.StatusInternalServerError)
		return fmt.Errorf("read the header: %w", err)
	}
	status := http.StatusOK
	if line := header.Get("Status"); line != "" {
		if status, err = strconv.Atoi(strings.Fields(line + " ")[0]); err != nil {
			status = http.StatusInternalServerError
		}
		header.Del("Status")
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, err = io.Copy(w, reader)
	return err
}
