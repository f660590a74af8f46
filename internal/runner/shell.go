package runner

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// defaultCommands are what a step runs that names neither a command nor a
// script, as far as it is known without the image: the command of Docker's
// official images that hold a shell and have no entrypoint of their own. Tekton
// puts a step's args behind it.
var defaultCommands = map[string]string{
	"alpine": "sh", "busybox": "sh", "debian": "bash", "ubuntu": "bash",
	bashImage: "bash",
}

// bashImage is the one of them with an entrypoint: it runs bash where the first
// argument is an option or missing, and the arguments themselves otherwise.
// https://github.com/tianon/docker-bash/blob/master/docker-entrypoint.sh
const bashImage = "bash"

// defaultCommand is what the image runs by itself with these arguments; ok is
// false where that is not known.
func defaultCommand(image string, args []string) (command []string, ok bool) {
	name := officialName(image)
	command = []string{defaultCommands[name]}
	if name == bashImage && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return nil, true
	}
	return command, command[0] != ""
}

// officialName is the name of one of Docker's official images, whichever of
// their registries and mirrors it comes from, and another text for others.
func officialName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if dir, base := path.Split(name); strings.Contains(base, ":") {
		base, _, _ = strings.Cut(base, ":")
		name = dir + base
	}
	for _, registry := range []string{"docker.io/", "index.docker.io/", "mirror.gcr.io/", "public.ecr.aws/docker/"} {
		name = strings.TrimPrefix(name, registry)
	}
	return strings.TrimPrefix(name, "library/")
}

// imageFolder matches programs by their path in an image, which says nothing
// about where this machine has them.
var imageFolder = regexp.MustCompile(`^/(usr/(local/)?)?s?bin/[^/]+$`)

// program finds a command of a step in the folders of the step's own PATH. What
// lies elsewhere, such as in a workspace, stays as it is.
func program(command, searchPath string) string {
	if strings.Contains(command, "/") && !imageFolder.MatchString(command) {
		return command
	}
	for _, dir := range filepath.SplitList(searchPath) {
		found := filepath.Join(dir, filepath.Base(command))
		if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return found
		}
	}
	return command
}

// interpreted is the command line that runs a script by the interpreter that
// its first line names, so that the kernel need not find it under the image's
// path. As the kernel does, it takes what follows the interpreter as one word.
func interpreted(path, script string) []string {
	line, _, _ := strings.Cut(script, "\n")
	interpreter, argument, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#!")), " ")
	command := []string{interpreter}
	if argument = strings.TrimSpace(argument); argument != "" {
		command = append(command, argument)
	}
	return append(command, path)
}
