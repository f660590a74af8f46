package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func module(t *testing.T, main string) Module {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hello")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "go.mod", "module example.com/hello\n\ngo 1.26\n")
	write(t, dir, "go.sum", "")
	write(t, dir, "main.go", main)
	return Module{Dir: dir}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func key(t *testing.T, m Module) string {
	t.Helper()
	k, err := m.Key()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const hello = "package main\n\nfunc main() { println(\"hello\") }\n"

func TestKeyChangesWithWhatGoesIn(t *testing.T) {
	m := module(t, hello)
	before := key(t, m)
	if key(t, m) != before {
		t.Fatal("the key is not stable")
	}
	for name, change := range map[string]func(m *Module){
		"a pin":          func(m *Module) { write(t, m.Dir, "go.mod", "module example.com/hello\n\ngo 1.25\n") },
		"a checksum":     func(m *Module) { write(t, m.Dir, "go.sum", "example.com/x v1.0.0 h1:x=\n") },
		"its own source": func(m *Module) { write(t, m.Dir, "main.go", hello+"\n") },
		"a flag":         func(m *Module) { m.Flags = []string{"-tags", "x"} },
		"cgo":            func(m *Module) { m.Cgo = true },
	} {
		t.Run(name, func(t *testing.T) {
			changed := module(t, hello)
			change(&changed)
			if key(t, changed) == before {
				t.Error("the old program would be used")
			}
		})
	}
}

func TestBuild(t *testing.T) {
	store, m := Store{t.TempDir()}, module(t, hello)
	p := Program{Name: "hello", Module: m, Package: "."}
	path, err := store.Path(p)
	if err != nil {
		t.Fatal(err)
	}
	// What an interrupted build leaves must not be taken for the program.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(path), "hello.new", "half of a prog")
	if missing, err := store.Missing([]Program{p}); err != nil || len(missing) != 1 {
		t.Fatalf("missing: %v, %v; want hello", missing, err)
	}
	if err := store.Build(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if missing, err := store.Missing([]Program{p}); err != nil || len(missing) != 0 {
		t.Errorf("missing: %v, %v; want none", missing, err)
	}
	if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Errorf("it says %q, %v", out, err)
	}
}

func TestBuildShowsWhatTheCompilerSaid(t *testing.T) {
	p := Program{Name: "hello", Module: module(t, "package main\n\nfunc main() { missing() }\n"), Package: "."}
	store := Store{t.TempDir()}
	err := store.Build(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "undefined: missing") {
		t.Errorf("got %v", err)
	}
	if missing, _ := store.Missing([]Program{p}); len(missing) != 1 {
		t.Error("a program that did not compile counts as built")
	}
}
