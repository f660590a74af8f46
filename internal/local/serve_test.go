package local_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/local"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

func TestChartsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, nil)
	c, err := registry.New(registry.Access{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PushChart(t.Context(), "oci://"+s.status(t).Registry+"/charts", registry.Archive{Name: "app", Version: "1.0.0", Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s = serve(t, dir, nil)
	if _, err := c.FindChart(t.Context(), registry.ChartRef{Repository: "oci://" + s.status(t).Registry + "/charts", Name: "app", Version: "1.0.0"}); err != nil {
		t.Error(err)
	}
}

func TestOnlyWhatIsServedIsReached(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, nil)
	s.create(t, "acme/app", local.Webhook{URL: "/hooks/x", Secret: "s3cret"})
	if err := os.Symlink("/etc", filepath.Join(dir, "git/acme/etc.git")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want int
	}{
		{"/git/acme/app.git/info/refs?service=git-upload-pack", http.StatusOK},
		{"/git/acme/app.git/info/refs", http.StatusForbidden},
		{"/git/acme/app.git/webhooks.json", http.StatusNotFound},
		{"/git/acme/app.git/HEAD", http.StatusNotFound},
		{"/git/acme/app/info/refs?service=git-upload-pack", http.StatusNotFound},
		{"/git/acme/none.git/info/refs?service=git-upload-pack", http.StatusNotFound},
		{"/git/acme/etc.git/info/refs?service=git-upload-pack", http.StatusNotFound},
		{"/git/%2e%2e/tmp.git/info/refs?service=git-upload-pack", http.StatusNotFound},
		{"/git/acme/..%2f..%2fx.git/info/refs?service=git-upload-pack", http.StatusNotFound},
		{"/git/-acme/--help.git/info/refs?service=git-upload-pack", http.StatusNotFound},
	} {
		resp, err := http.Get(s.url + c.path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: got %s, want %d", c.path, resp.Status, c.want)
		}
	}
	for _, name := range []string{"", "app", "../x/y", "acme/..", "acme/.hidden", "acme/a b", "-a/b", "a/b.git", "a/b/c", "a/b..c"} {
		if err := s.Create(t.Context(), name); fault.Of(err).Kind != fault.KindUsage {
			t.Errorf("repository %q: got %v", name, err)
		}
	}
}

func TestWebPagesAreKeptOut(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"", "", http.StatusNotFound}, // there is no receiver
		{"evil.example.com", "", http.StatusMisdirectedRequest},
		{"127.0.0.1.example.com", "", http.StatusMisdirectedRequest},
		{"", "https://evil.example.com", http.StatusForbidden},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/hooks/x", strings.NewReader("{}"))
		req.Host = c.host
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("host %q origin %q: got %s", c.host, c.origin, resp.Status)
		}
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	_, err = local.Listen("127.0.0.1:" + port)
	if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != "PortTaken" || !strings.Contains(f.Hint, port) {
		t.Errorf("got %+v", f)
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.com:80"} {
		if _, err := local.Listen(address); fault.Of(err).Reason != "AddressNotLoopback" {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

func TestOneServerPerFolder(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, nil)
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := local.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), l); fault.Of(err).Reason != "AlreadyRunning" {
		t.Errorf("got %v", err)
	}
}

func TestMissingGitIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := local.Open(t.TempDir(), local.Options{})
	if f := fault.Of(err); f.Kind != fault.KindUsage || f.Reason != "GitMissing" || !strings.Contains(f.Hint, "Install git") {
		t.Errorf("got %+v", f)
	}
}

// TestFullDiskIsSaid needs a small file system of its own.
func TestFullDiskIsSaid(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "lockstep", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be mounted here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	s := serve(t, dir, nil)
	url := s.create(t, "acme/app")
	work := checkout(t, url)
	noise := make([]byte, 512<<10)
	if f, err := os.Open("/dev/urandom"); err == nil {
		_, _ = f.Read(noise)
		f.Close()
	}
	write(t, work, "noise", string(noise))
	if out, err := tryGit(t, work, "push", "origin", "main"); err == nil || !strings.Contains(out, "507") {
		t.Errorf("got %v: %s", err, out)
	}
	fill, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = fill.Write(make([]byte, 4096))
	}
	fill.Close()
	if err := s.Create(t.Context(), "acme/other"); fault.Of(err).Reason != "DiskFull" {
		t.Errorf("got %v", err)
	}
}
