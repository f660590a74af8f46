// Command generate writes everything that follows from the contracts of the
// programs: each step's StepAction, the Tasks as they are composed in tasks.go,
// and the parameter tables of the READMEs. With --check it writes nothing and
// fails where a file differs, so that CI sees drift.
//
// Run it from the root of the module: go run ./tasks/generate [--check]
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/step"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail where a file differs from what would be written")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	contracts, err := readContracts()
	if err != nil {
		return err
	}
	files, err := everything(contracts)
	if err != nil {
		return err
	}
	var drift []error
	for _, f := range files {
		if err := f.settle(check); err != nil {
			drift = append(drift, err)
		}
	}
	return errors.Join(drift...)
}

// readContracts builds every program below steps/ and asks it for its contract.
func readContracts() (map[string]step.Contract, error) {
	bin, err := os.MkdirTemp("", "lockstep-generate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", bin+"/", "./steps/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build ./steps/...: %w", err)
	}
	programs, err := filepath.Glob(filepath.Join(bin, "*"))
	if err != nil {
		return nil, err
	}
	contracts := map[string]step.Contract{}
	for _, program := range programs {
		out, err := exec.Command(program, "contract").Output()
		if err != nil {
			return nil, fmt.Errorf("%s contract: %w", filepath.Base(program), err)
		}
		var c step.Contract
		if err := json.Unmarshal(out, &c); err != nil {
			return nil, fmt.Errorf("%s contract: %w", filepath.Base(program), err)
		}
		if c.Name != filepath.Base(program) {
			return nil, fmt.Errorf("steps/%s calls itself %s: the folder's name is the program's", filepath.Base(program), c.Name)
		}
		contracts[c.Name] = c
	}
	return contracts, nil
}

// everything lists the files that follow from the contracts.
func everything(contracts map[string]step.Contract) ([]file, error) {
	var files []file
	for name, c := range contracts {
		readme, err := withTable(filepath.Join("steps", name, "README.md"), stepTable(c))
		if err != nil {
			return nil, err
		}
		files = append(files, readme, file{filepath.Join("steps", name, "stepaction.yaml"), stepAction(c)})
	}
	for _, t := range tasks(contracts) {
		r, err := compose(t, contracts)
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", t.name, err)
		}
		readme, err := taskReadme(t, taskTable(r))
		if err != nil {
			return nil, err
		}
		files = append(files, readme, file{filepath.Join("tasks", t.name, t.name+".yaml"), r.yaml()})
	}
	return files, nil
}

// file is a path and what belongs there.
type file struct {
	path    string
	content []byte
}

func (f file) settle(check bool) error {
	present, err := os.ReadFile(f.path)
	if err == nil && bytes.Equal(present, f.content) {
		return nil
	}
	if check {
		return fmt.Errorf("%s differs from the contracts: run `make generate`", f.path)
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	fmt.Println("wrote", f.path)
	return os.WriteFile(f.path, f.content, 0o644)
}

const (
	tableBegin = "<!-- contract:begin -->"
	tableEnd   = "<!-- contract:end -->"
)

// taskReadme is the page of a Task: where it is one program, nothing is left for
// people to write.
func taskReadme(t task, table string) (file, error) {
	path := filepath.Join("tasks", t.name, "README.md")
	if len(t.steps) > 1 {
		return withTable(path, table)
	}
	text := fmt.Sprintf("# %s\n\nThe program [%s](../../steps/%s/README.md) alone in a pod. %s\n\n%s\n\n%s\n%s\n",
		t.name, t.name, t.name, t.about, tableBegin, table, tableEnd)
	return file{path, []byte(text)}, nil
}

// withTable is the README at path with table between its marks; what people
// wrote around them stays.
func withTable(path, table string) (file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	before, rest, ok := bytes.Cut(text, []byte(tableBegin))
	_, after, closed := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !closed {
		return file{}, fmt.Errorf("%s has no %s … %s to put the table between", path, tableBegin, tableEnd)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(tableBegin + "\n\n" + table + "\n" + tableEnd)
	b.Write(after)
	return file{path, b.Bytes()}, nil
}
