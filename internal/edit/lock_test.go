package edit_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/edit"
)

func TestRelockKeepsHelm2Digests(t *testing.T) {
	before := "dependencies:\n- name: web\n  version: 1.0.0\n  repository: https://a\n"
	// What Helm 2 writes: sha256 of {"dependencies":[{"name":"web","version":"1.0.0","repository":"https://a"}]}
	lock := "dependencies:\n- name: web\n  repository: https://a\n  version: 1.0.0\ndigest: " +
		"sha256:" + sha(`{"dependencies":[{"name":"web","version":"1.0.0","repository":"https://a"}]}`) +
		"\ngenerated: \"2020-01-01T00:00:00Z\"\n"
	after := strings.Replace(before, "1.0.0", "1.0.1", 1)
	got, err := edit.Relock([]byte(lock), []byte(before), []byte(after))
	want := strings.Replace(lock, "1.0.0", "1.0.1", 1)
	want = strings.Replace(want, sha(`{"dependencies":[{"name":"web","version":"1.0.0","repository":"https://a"}]}`),
		sha(`{"dependencies":[{"name":"web","version":"1.0.1","repository":"https://a"}]}`), 1)
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s, want\n%s", err, got, want)
	}
}

func TestStaleLocksAreLeftAlone(t *testing.T) {
	before := []byte("dependencies:\n- name: web\n  version: 1.0.0\n  repository: https://a\n")
	after := []byte("dependencies:\n- name: web\n  version: 1.0.1\n  repository: https://a\n")
	for name, lock := range map[string]string{
		"other digest":  "dependencies:\n- {name: web, repository: https://a, version: 1.0.0}\ndigest: sha256:00\n",
		"no digest":     "dependencies:\n- {name: web, repository: https://a, version: 1.0.0}\n",
		"other entries": "dependencies: []\ndigest: sha256:00\n",
		"empty":         "",
	} {
		if out, err := edit.Relock([]byte(lock), before, after); !errors.Is(err, edit.ErrStaleLock) || out != nil {
			t.Errorf("%s: %v, want ErrStaleLock", name, err)
		}
	}
}

func sha(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
