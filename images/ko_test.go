// Package images_test holds ko to ko.yaml.
package images_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestKoReadsItsFile gives ko a copy of ko.yaml whose base carries a marker: ko
// falls back to a base of its own, without a word, where it does not read the
// file or a key in it is misspelt.
func TestKoReadsItsFile(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	marker := pushMarker(t, host)

	text, err := os.ReadFile("../ko.yaml")
	if err != nil {
		t.Fatal(err)
	}
	base := regexp.MustCompile(`(?m)^defaultBaseImage: .*$`)
	if !base.Match(text) {
		t.Fatal("ko.yaml names no defaultBaseImage")
	}
	config := filepath.Join(t.TempDir(), "ko.yaml")
	if err := os.WriteFile(config, base.ReplaceAll(text, []byte("defaultBaseImage: "+host+"/marker:1")), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ko(t), "build", "--platform", "linux/amd64", "--sbom", "none", "--base-import-paths", "./steps/tag")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "KO_CONFIG_PATH="+config, "KO_DOCKER_REPO="+host+"/out", "KO_DEFAULTBASEIMAGE=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ko build: %v\n%s", err, stderr.String())
	}
	if !hasLayer(t, strings.TrimSpace(string(out)), marker) {
		t.Errorf("ko did not take its base from KO_CONFIG_PATH\n%s", stderr.String())
	}
}

// pushMarker makes a base with one layer that no other image has.
func pushMarker(t *testing.T, host string) (digest string) {
	t.Helper()
	layer, err := random.Layer(64, "application/vnd.docker.image.rootfs.diff.tar.gzip")
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	configFile, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	configFile.OS, configFile.Architecture = "linux", "amd64"
	if image, err = mutate.ConfigFile(image, configFile); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/marker:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	hash, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

func hasLayer(t *testing.T, image, digest string) bool {
	t.Helper()
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := got.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range manifest.Layers {
		if layer.Digest.String() == digest {
			return true
		}
	}
	return false
}

// ko is the pinned program that test/cluster builds into its cache.
func ko(t *testing.T) string {
	t.Helper()
	build := exec.Command("go", "run", ".", "build", "tools")
	build.Dir = "../test/cluster"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build ko: %v\n%s", err, out)
	}
	env := exec.Command("go", "run", ".", "full", "env")
	env.Dir = "../test/cluster"
	out, err := env.Output()
	if err != nil {
		t.Fatalf("ask test/cluster for its tools: %v", err)
	}
	path := regexp.MustCompile(`(?m)^export PATH='([^']*)'`).FindSubmatch(out)
	if path == nil {
		t.Fatalf("test/cluster names no PATH:\n%s", out)
	}
	for _, dir := range filepath.SplitList(string(path[1])) {
		if _, err := os.Stat(filepath.Join(dir, "ko")); err == nil {
			return filepath.Join(dir, "ko")
		}
	}
	t.Fatalf("no ko in %s", path[1])
	return ""
}
