package gittest

import (
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jetty says what JGit's servlet runs in. No line of Java is needed.
//
//go:embed jetty.xml
var jetty []byte

// jars are what the Debian package libjgit-java brings, and what it needs.
var jars = []string{
	"org.eclipse.jgit", "org.eclipse.jgit.http.server", "jetty9-server", "jetty9-servlet", "jetty9-http", "jetty9-io", "jetty9-util",
	"jetty9-util-ajax", "jetty9-security", "jetty9-xml", "servlet-api", "slf4j-api", "slf4j-nop", "javaewah", "jsch",
}

// HasJGit reports whether JGit and Java are on this machine.
func HasJGit() bool {
	_, java := exec.LookPath("java")
	_, jgit := os.Stat("/usr/share/java/org.eclipse.jgit.http.server.jar")
	return java == nil && jgit == nil
}

// NewJGitServer starts a host that is a real JGit, as Gerrit and others are
// built on: its servlet in Jetty, a process of its own. HasJGit says whether
// that can be.
func NewJGitServer(t testing.TB) *Server {
	t.Helper()
	s := start(t, httptestServer)
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "jetty.xml")
	must(t, os.WriteFile(config, jetty, 0o644))
	var path []string
	for _, jar := range jars {
		path = append(path, "/usr/share/java/"+jar+".jar")
	}
	cmd := exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(path, ":"), "org.eclipse.jetty.xml.XmlConfiguration",
		"port="+port, "folder="+s.Dir, config)
	cmd.Env = append(os.Environ(), "HOME="+s.Dir, "GIT_CONFIG_NOSYSTEM=1")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	await(t, port, &log)
	s.host = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", port)})
	return s
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// await waits until something answers at the port.
func await(t testing.TB, port string, log fmt.Stringer) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if answer, err := http.Get("http://127.0.0.1:" + port + "/"); err == nil {
			answer.Body.Close()
			return
		}
	}
	t.Fatalf("the server does not answer: %s", log)
}
