package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// exact hands three kinds of a value on as they arrive: a parameter, a variable
// and a file of a workspace.
const exact = `apiVersion: tekton.dev/v1
kind: Task
metadata: {name: exact}
spec:
  params: [{name: v}]
  workspaces: [{name: in}]
  results: [{name: parameter}, {name: variable}, {name: file}]
  steps:
    - name: show
      image: example.com/tools
      env: [{name: V, value: $(params.v)}]
      script: |
        printf '%s' "$V" > $(results.parameter.path)
        printf '%s' "$GIVEN" > $(results.variable.path)
        cp "$(workspaces.in.path)/it" $(results.file.path)
`

func TestValuesArriveByteForByte(t *testing.T) {
	t.Setenv("LOCKSTEP_STATE", t.TempDir())
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "exact.yaml"), exact)
	for _, v := range []string{" a", "a ", "a\n", "\na\t", " ", "\n\n", "a\r\n", "\u00a0a\u2003", "\v\f", "a,b , c", "="} {
		// The name of a folder may end with blanks, too.
		folder := filepath.Join(t.TempDir(), "in"+v)
		writeFile(t, filepath.Join(folder, "it"), "file "+v)
		var stdout, stderr bytes.Buffer
		code := run([]string{"lockstep", "run", filepath.Join(dir, "exact.yaml"), "--engine=none", "--allow-host", "-p", "v=" + v, "-e", "GIVEN=" + v, "-w", "in=" + folder}, &stdout, &stderr)
		if code != 0 {
			t.Errorf("%q: exit %d: %s", v, code, &stderr)
			continue
		}
		if want := "parameter=" + v + "\nvariable=" + v + "\nfile=file " + v + "\n"; stdout.String() != want {
			t.Errorf("%q: %q, want %q", v, stdout.String(), want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
