package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestWrongCommandLines(t *testing.T) {
	for _, line := range []string{"", "light", "up", "fly", "light up kubernetes", "full up moon", "light down now", "status --xml"} {
		t.Run(line, func(t *testing.T) {
			if err := run(t.Context(), strings.Fields(line)); !errors.Is(err, errUsage) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func environment(pairs ...string) func(string) string {
	values := map[string]string{"HOME": "/home/someone"}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestSettings(t *testing.T) {
	s, err := readSettings(environment("LOCKSTEP_LIGHT_API_PORT", "18443"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Cache != "/home/someone/.cache/lockstep" || s.LightAPIPort != 18443 || s.FullAPIPort != 6443 {
		t.Errorf("read as %+v", s)
	}
	s, err = readSettings(environment("XDG_CACHE_HOME", "/cache"))
	if err != nil || s.Cache != "/cache/lockstep" {
		t.Errorf("cache %s, %v", s.Cache, err)
	}
}

func TestAllWrongSettingsAreReported(t *testing.T) {
	_, err := readSettings(environment(
		"LOCKSTEP_CACHE", "here", "LOCKSTEP_FULL_GITEA_PORT", "0", "LOCKSTEP_LIGHT_ETCD_PORT", "70000", "LOCKSTEP_FULL_NODE_IP", "::1"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"LOCKSTEP_CACHE", "LOCKSTEP_FULL_GITEA_PORT", "LOCKSTEP_LIGHT_ETCD_PORT", "LOCKSTEP_FULL_NODE_IP"} {
		if !contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestShellReadsWhatEnvWrites(t *testing.T) {
	for _, value := range []string{"plain", "with space", "it's", `$(id) "x" \`} {
		out, err := exec.Command("/bin/sh", "-c", "V="+quoted(value)+`; printf %s "$V"`).Output()
		if err != nil || string(out) != value {
			t.Errorf("%q became %q, %v", value, out, err)
		}
	}
}

func TestEditThatFindsNothingIsAnError(t *testing.T) {
	text, err := replaceAll([]byte("a: 1\nb: 1\n"), [][2]string{{"a: 1", "a: 2"}})
	if err != nil || string(text) != "a: 2\nb: 1\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := replaceAll(text, [][2]string{{"c: 1", "c: 2"}}); err == nil {
		t.Error("a flag that is not there would silently stay as it is")
	}
}

func TestEveryTemplateCanBeFilledIn(t *testing.T) {
	s, err := readSettings(environment("LOCKSTEP_FULL_NODE_IP", "10.99.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := templates.ReadDir("config")
	if err != nil {
		t.Fatal(err)
	}
	f := newFull(s, nil)
	for _, file := range files {
		text, err := f.render(file.Name())
		if err != nil {
			t.Error(err)
		}
		if contains(string(text), "10.88.") {
			t.Errorf("%s does not follow LOCKSTEP_FULL_NODE_IP", file.Name())
		}
	}
	if got := f.values().FirstPodIP; got != "10.99.1.1" {
		t.Errorf("first pod at %s", got)
	}
}
