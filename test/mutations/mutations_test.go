// Package mutations holds, for each row of docs/faults.md, the smallest patches
// that take a guard out. A row's test is worth something only if it turns red
// then. Each patch is a unified diff behind three lines:
//
//	Row: 33
//	Guard: what is taken out
//	Test: go test ./internal/edit -run TestRow33
//
// MUTATIONS=n applies n of them, chosen at random (MUTATIONS_SEED repeats a
// choice), MUTATIONS=all every one. The patched files reach the compiler
// through -overlay, so the working tree is never touched.
package mutations

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const root = "../.."

type mutation struct {
	name, row, guard string
	test             []string
	diff             []byte
}

func read(t *testing.T, path string) mutation {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, diff, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s: no empty line between header and diff", path)
	}
	m := mutation{name: strings.TrimSuffix(filepath.Base(path), ".patch"), diff: diff}
	for lines := bufio.NewScanner(bytes.NewReader(head)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Row":
			m.row = value
		case "Guard":
			m.guard = value
		case "Test":
			m.test = words(value)
		}
	}
	if m.row == "" || m.guard == "" || len(m.test) < 3 || m.test[0] != "go" || m.test[1] != "test" {
		t.Fatalf("%s: needs the lines Row, Guard and Test: go test …", path)
	}
	return m
}

// words splits at white space; single quotes keep a word together.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}

func all(t *testing.T) []mutation {
	t.Helper()
	paths, err := filepath.Glob("*.patch")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no patches: %v", err)
	}
	var ms []mutation
	for _, path := range paths {
		ms = append(ms, read(t, path))
	}
	return ms
}

// TestEveryPatchApplies keeps the patches in step with the code.
func TestEveryPatchApplies(t *testing.T) {
	for _, m := range all(t) {
		t.Run(m.name, func(t *testing.T) { m.overlay(t) })
	}
}

// TestGuardsAreTested applies mutations and wants their tests red.
func TestGuardsAreTested(t *testing.T) {
	for _, m := range chosen(t) {
		t.Run(m.name, func(t *testing.T) { m.check(t) })
	}
}

func chosen(t *testing.T) []mutation {
	ms := all(t)
	wish := os.Getenv("MUTATIONS")
	if wish == "all" {
		return ms
	}
	n := 2
	if wish != "" {
		var err error
		if n, err = strconv.Atoi(wish); err != nil {
			t.Fatalf("MUTATIONS=%s: a number or all", wish)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MUTATIONS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MUTATIONS_SEED=%s: %v", s, err)
		}
	}
	t.Logf("MUTATIONS=%d MUTATIONS_SEED=%d", n, seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
	return ms[:min(n, len(ms))]
}

func (m mutation) check(t *testing.T) {
	overlay := m.overlay(t)
	args := append([]string{"test", "-vet=off", "-count=1", "-overlay=" + overlay}, m.test[2:]...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("row %s: without its guard (%s) `%s` is still green", m.row, m.guard, strings.Join(m.test, " "))
	case !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic:")):
		t.Errorf("row %s: no test failed, something else did:\n%s", m.row, out)
	case bytes.Contains(out, []byte("no tests to run")):
		t.Errorf("row %s: `%s` runs no test", m.row, strings.Join(m.test, " "))
	}
}

// overlay applies the patch to copies of the files that it names and returns
// the path of the file for go's -overlay.
func (m mutation) overlay(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, path := range m.files(t) {
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, content, 0o644); err != nil {
			t.Fatal(err)
		}
		absolute, err := filepath.Abs(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		replace[absolute] = copied
	}
	m.apply(t, dir)
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m mutation) apply(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("git", "apply", "--recount", "-")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(m.diff)
	// The copies lie outside any repository, also when the temporary folder is inside one.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s no longer applies: make it anew for the code as it is\n%s", m.name, out)
	}
}

func (m mutation) files(t *testing.T) []string {
	t.Helper()
	var paths []string
	for line := range strings.Lines(string(m.diff)) {
		if path, ok := strings.CutPrefix(line, "--- a/"); ok {
			paths = append(paths, strings.TrimSpace(strings.Split(path, "\t")[0]))
		}
	}
	if len(paths) == 0 {
		t.Fatal(fmt.Errorf("%s: the diff names no file (--- a/path)", m.name))
	}
	return paths
}
