package runner

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// shebang is what Tekton puts in front of a script that names no interpreter.
const shebang = "#!/bin/sh\nset -e\n"

// invocation fills in what is known only when a step starts: variables, results
// of earlier steps, the script's file.
func (p *pod) invocation(i int, s pipelinev1.Step, h how, results stepResults) (call invocation, err error) {
	call = invocation{image: unmask(s.Image), dir: s.WorkingDir, mounts: p.mounts.of(i)}
	defer func() { call.unmask() }()
	own, err := p.runner.Catalog.environment(s)
	if err != nil {
		return call, err
	}
	if s.Script != "" {
		path, script, err := p.writeScript(i, unmask(s.Script))
		if err != nil {
			return call, err
		}
		call.command = interpreted(path, script)
		if h == inContainer {
			call.command = []string{filepath.Join(tektonRoot, "scripts", filepath.Base(path))}
		}
	} else if call.command, err = results.words(expandAll(s.Command, own.values)); err != nil {
		return call, err
	}
	if call.args, err = results.words(expandAll(s.Args, own.values)); err != nil {
		return call, err
	}
	if h == onHost && len(call.command) == 0 {
		call.command, _ = defaultCommand(call.image, call.args)
	}
	vars := &variables{}
	if h != inContainer {
		if err := p.mounts.of(i).refresh(); err != nil {
			return call, err
		}
		p.hostVariables(vars)
		if call.dir, err = p.workingDir(unmask(s.WorkingDir)); err != nil {
			return call, err
		}
	}
	for _, v := range p.runner.Environment {
		name, value, _ := strings.Cut(v, "=")
		vars.set(name, value)
	}
	for _, name := range own.names {
		value, err := results.text(own.values[name])
		if err != nil {
			return call, err
		}
		vars.set(name, value)
	}
	call.env, call.path = vars.list(), vars.values["PATH"]
	return call, p.copyCredentials()
}

// unmask ends what mask began: nothing is filled in any more.
func (c *invocation) unmask() {
	c.path, c.dir = unmask(c.path), unmask(c.dir)
	for _, texts := range [][]string{c.command, c.args, c.env} {
		for i := range texts {
			texts[i] = unmask(texts[i])
		}
	}
}

func expandAll(words []string, values map[string]string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = expand(word, values)
	}
	return out
}

// hostVariables are what a step outside a container starts with: a home and a
// temporary folder of its own, and nothing of the caller's but where programs
// are.
func (p *pod) hostVariables(v *variables) {
	v.set("PATH", os.Getenv("PATH"))
	v.set("HOME", filepath.Join(p.dir, "tekton", "home"))
	v.set("TMPDIR", filepath.Join(p.dir, "tekton", "home"))
	v.set("LANG", "C.UTF-8")
}

// workingDir is the step's, made if it is missing, as Tekton does; without one
// it is the pod's /workspace.
func (p *pod) workingDir(dir string) (string, error) {
	base := filepath.Join(p.dir, "workspace")
	if dir == "" {
		return base, nil
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(base, dir)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// writeScript writes a step's script, with Tekton's first line where it has
// none of its own, and returns what it wrote.
func (p *pod) writeScript(i int, text string) (path, script string, err error) {
	script = strings.TrimLeft(text, " \t\r\n")
	if !strings.HasPrefix(script, "#!") {
		script = shebang + text
	}
	inside := filepath.Join("tekton", "scripts", fmt.Sprintf("script-%d", i))
	if err := p.root.RemoveAll(inside); err != nil {
		return "", "", err
	}
	return filepath.Join(p.dir, inside), script, p.root.WriteFile(inside, []byte(script), 0o755)
}

// copyCredentials gives each step a fresh copy, as Tekton does: a step that
// changes them changes nothing for the next one. Programs look for them at home.
func (p *pod) copyCredentials() error {
	const target = "tekton/creds"
	if err := p.root.RemoveAll(target); err != nil {
		return err
	}
	if err := p.root.MkdirAll(target, 0o700); err != nil || p.runner.Credentials == "" {
		return err
	}
	for _, name := range []string{".git-credentials", ".gitconfig", ".ssh", ".docker"} {
		source := filepath.Join(p.runner.Credentials, name)
		if _, err := os.Stat(source); os.IsNotExist(err) {
			continue
		}
		for _, dir := range []string{target, "tekton/home"} {
			if err := copyTree(source, p.root, filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("credentials: %w", err)
			}
		}
	}
	return nil
}

// copyTree copies a file or folder for its owner's eyes only: SSH refuses keys
// that others can read.
func copyTree(from string, root *os.Root, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return root.MkdirAll(filepath.Join(to, inside), 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return root.WriteFile(filepath.Join(to, inside), content, 0o600)
	})
}
