package runner

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Engine runs containers with podman or docker.
type Engine struct {
	Program string // path of podman or docker
}

// FindEngine returns the first of the named programs that is there and answers,
// and nil where none does.
func FindEngine(names ...string) *Engine {
	for _, name := range names {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if exec.Command(program, "version").Run() == nil {
			return &Engine{Program: program}
		}
	}
	return nil
}

// command is the command line that runs a step in a container: the pod's
// folders are mounted where Tekton has them. Variables stand in a file of dir,
// which no step sees: in argv everybody could read them, and in the engine's own
// environment a step's HOME or DOCKER_HOST would change the engine.
func (e *Engine) command(name, dir string, s invocation) (*exec.Cmd, error) {
	file := filepath.Join(dir, "variables")
	lines, others, err := divide(s.env)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		return nil, err
	}
	args := []string{"run", "--rm", "--init", "--name", name, "--env-file", file}
	for _, m := range s.mounts {
		volume := m.folder + ":" + m.path
		if m.readOnly {
			volume += ":ro"
		}
		args = append(args, "--volume", volume)
	}
	for _, v := range others {
		key, _, _ := strings.Cut(v, "=")
		args = append(args, "--env", key)
	}
	if s.dir != "" {
		args = append(args, "--workdir", s.dir)
	}
	words := s.args
	if len(s.command) > 0 {
		args = append(args, "--entrypoint", s.command[0])
		words = append(append([]string{}, s.command[1:]...), s.args...)
	}
	cmd := exec.Command(e.Program, append(append(args, s.image), words...)...)
	cmd.Env = append(os.Environ(), others...)
	return cmd, nil
}

// lineLimit is what engines read as one line of such a file, in bytes.
const lineLimit = 32 << 10

// divide returns the variables that a file can hold, one per line, and the
// others, which the engine takes over from its own environment: long ones and
// those of several lines. There they must mean nothing to the engine.
func divide(env []string) (lines string, others []string, err error) {
	var b strings.Builder
	for _, v := range env {
		if len(v) < lineLimit && !strings.ContainsAny(v, "\r\n") {
			b.WriteString(v + "\n")
			continue
		}
		name, _, _ := strings.Cut(v, "=")
		_, taken := os.LookupEnv(name)
		if taken || slices.ContainsFunc([]string{"LD_", "DOCKER_", "CONTAINER", "PODMAN", "XDG_"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return "", nil, fmt.Errorf("variable %s: a value of several lines, or a long one, cannot be handed to a container under this name", name)
		}
		others = append(others, v)
	}
	return b.String(), others, nil
}

// remove ends a container that its client did not, such as after SIGKILL.
func (e *Engine) remove(name string) { _ = exec.Command(e.Program, "rm", "--force", name).Run() }
