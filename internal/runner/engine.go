package runner

import (
	"os"
	"os/exec"
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
// folders are mounted where Tekton has them. Names of variables stand in argv;
// their values are in the engine's own environment.
func (e *Engine) command(name string, s invocation) *exec.Cmd {
	args := []string{"run", "--rm", "--init", "--name", name}
	for _, m := range s.mounts {
		volume := m.folder + ":" + m.path
		if m.readOnly {
			volume += ":ro"
		}
		args = append(args, "--volume", volume)
	}
	for _, v := range s.env {
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
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

// remove ends a container that its client did not, such as after SIGKILL.
func (e *Engine) remove(name string) { _ = exec.Command(e.Program, "rm", "--force", name).Run() }
