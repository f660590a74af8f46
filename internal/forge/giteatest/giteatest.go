// Package giteatest gives tests a real Gitea: the program that test/cluster
// builds, with a database and repositories of its own, on a free port. It needs
// neither root nor containers. Without it a test fails; it is never skipped.
package giteatest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// User and Password are those of the administrator, in whose name everything is.
const (
	User     = "lockstep"
	Password = "canary-hunter2-canary"
)

const startLimit = 90 * time.Second

// Server is a running Gitea.
type Server struct {
	URL string

	t      testing.TB
	dir    string
	config string
	gitea  string
}

// Start starts a Gitea, which stops with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	found, err := build()
	if err != nil {
		t.Fatalf("Gitea of test/cluster is needed and was not built: %v", err)
	}
	s := &Server{t: t, dir: t.TempDir(), gitea: found["program"]}
	s.config = filepath.Join(s.dir, "app.ini")
	port := freePort(t)
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.configure(port, found["source"])
	s.run("migrate")
	s.run("admin", "user", "create", "--admin", "--username", User, "--password="+Password, "--email", User+"@example.com", "--must-change-password=false")
	s.serve()
	return s
}

// For is the same Gitea for a test of its own below the one that started it.
func (s *Server) For(t testing.TB) *Server {
	mine := *s
	mine.t = t
	return &mine
}

// build is called once for all tests of a process.
var build = sync.OnceValues(func() (map[string]string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	cmd := exec.Command("go", "run", ".", "build", "gitea")
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "test", "cluster")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said.String())
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[key] = value
	}
	return found, nil
})

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// configure writes app.ini. Gitea refuses to run as root without being told so;
// this one holds nothing, and lives as long as a test.
func (s *Server) configure(port int, source string) {
	me, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	text := fmt.Sprintf(`RUN_MODE = prod
RUN_USER = %s
WORK_PATH = %s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %d
ROOT_URL = %s/
STATIC_ROOT_PATH = %s
DISABLE_SSH = true
LFS_START_SERVER = false
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = %s/gitea.db
SQLITE_JOURNAL_MODE = WAL
SQLITE_TIMEOUT = 10000
[security]
INSTALL_LOCK = true
SECRET_KEY = for-a-test
INTERNAL_TOKEN = eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYmYiOjE3MDAwMDAwMDB9.l8nCrKVkhLVZkVRAoKgeAtiLGEsrpmEBaDZ1U4rYbb8
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[service]
DISABLE_REGISTRATION = true
[oauth2]
ENABLED = false
JWT_SECRET = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
[actions]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
LEVEL = warn
ROOT_PATH = %s/log
`, me.Username, s.dir, port, s.URL, source, s.dir, s.dir)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.gitea, append([]string{"--config", s.config}, args...)...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "HOME="+s.dir, "GITEA_WORK_DIR="+s.dir)
	return cmd
}

func (s *Server) run(args ...string) {
	s.t.Helper()
	if out, err := s.command(args...).CombinedOutput(); err != nil {
		s.t.Fatalf("gitea %s: %v\n%s", args[0], err, out)
	}
}

func (s *Server) serve() {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, "output"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := s.command("web")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		gone := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		gone.Stop()
		_ = log.Close()
	})
	for end := time.Now().Add(startLimit); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Get(s.URL + "/api/healthz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(log.Name())
			s.t.Fatalf("Gitea did not start in %s: %s", startLimit, said)
		}
	}
}

// Credentials writes a folder with .git-credentials for this host, as programs
// take it.
func (s *Server) Credentials() string {
	dir := s.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".git-credentials"), []byte(s.credentials()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func (s *Server) credentials() string {
	return strings.Replace(s.URL, "://", "://"+User+":"+Password+"@", 1) + "\n"
}

// Repository creates a repository with these files on its branch main, and
// returns its URL.
func (s *Server) Repository(name string, files gittest.Files) string {
	s.t.Helper()
	s.API(http.MethodPost, "user/repos", map[string]any{"name": name, "default_branch": "main"}, nil)
	url := s.URL + "/" + User + "/" + name + ".git"
	s.Push(url, "main", "first commit", files)
	s.awaitFilled(name)
	return url
}

// awaitFilled waits until Gitea has seen the first push, which it looks at in
// the background: an empty repository has no pull requests.
func (s *Server) awaitFilled(name string) {
	s.t.Helper()
	for end := time.Now().Add(startLimit); ; time.Sleep(50 * time.Millisecond) {
		var got struct {
			Empty bool `json:"empty"`
		}
		if s.API(http.MethodGet, "repos/"+User+"/"+name, nil, &got); !got.Empty {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("Gitea finds %s empty after %s", name, startLimit)
		}
	}
}

// Push commits files to a branch as a person would, and returns the commit.
// A branch that is not there starts at main.
func (s *Server) Push(url, branch, message string, files gittest.Files) string {
	s.t.Helper()
	dir := s.t.TempDir()
	s.git(dir, "init", "-q", "-b", branch)
	s.git(dir, "remote", "add", "origin", strings.Replace(url, "://", "://"+User+":"+Password+"@", 1))
	for _, start := range []string{branch, "main"} {
		if exec.Command("git", "-C", dir, "fetch", "-q", "origin", start).Run() == nil {
			s.git(dir, "reset", "-q", "--hard", "FETCH_HEAD")
			break
		}
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git(dir, "add", "-A")
	s.git(dir, "-c", "user.name=Tester", "-c", "user.email=tester@example.com", "commit", "-q", "-m", message)
	s.git(dir, "push", "-q", "origin", "HEAD:refs/heads/"+branch)
	return strings.TrimSpace(s.git(dir, "rev-parse", "HEAD"))
}

func (s *Server) git(dir string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// API asks Gitea's own interface as the administrator. in and out may be nil.
func (s *Server) API(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := s.ask(method, path, bytes.NewReader(body))
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func (s *Server) ask(method, path string, body io.Reader) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1/"+path, body)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(User, Password)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return text, err
}
