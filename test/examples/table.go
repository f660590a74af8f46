package examples

import (
	"os"
	"path/filepath"
)

// ownTools are eligible examples that run only with what their own images hold,
// by name with the reason. They count as not run.
var ownTools = map[string]string{
	"pipelineruns/pipelinerun.yaml":                  "builds an image with kaniko from a repository on a public host",
	"pipelineruns/pipelinerun-with-final-tasks.yaml": "clones from a public host with git-init",
	"taskruns/entrypoint-resolution.yaml":            "an image of Tekton's own says what its first step runs",
}

// busyboxOnly are examples whose scripts mean something else to every shell but
// busybox's, by name with the reason.
var busyboxOnly = map[string]string{
	"pipelineruns/beta/pipeline-with-when-expressions-using-array-results.yaml": "an empty word in [[ is a fault that busybox takes for false",
}

// called are the programs that scripts call and not every machine has, by the
// example's name.
var called = map[string][]string{
	"pipelineruns/optional-workspaces.yaml": {"node"},
}

// Environments says what environment the examples in a folder no-ci need that
// nothing else keeps from running here.
var Environments = map[string]string{
	"pipelineruns/no-ci/compressed-results-pipeline.yaml": "a controller with results larger than a pod's message",
	"pipelineruns/no-ci/limitrange.yaml":                  "a LimitRange, which only a scheduler obeys",
	"pipelineruns/no-ci/pipelinerun-taskrunspecs.yaml":    "ServiceAccounts that it does not bring along",
	"pipelineruns/no-ci/windows-node-affinity.yaml":       "a Windows node",
	"pipelineruns/no-ci/windows-node-selectors.yaml":      "a Windows node",
	"taskruns/no-ci/default-workspaces.yaml":              "a controller configured with a default workspace",
	"taskruns/no-ci/docker-creds.yaml":                    "credentials for a private registry",
	"taskruns/no-ci/git-basic-auth-multiple-repos.yaml":   "credentials for private repositories",
	"taskruns/no-ci/git-ssh-auth-multiple-repos.yaml":     "credentials for private repositories",
	"taskruns/no-ci/limitrange.yaml":                      "a LimitRange, which only a scheduler obeys",
	"taskruns/no-ci/pull-private-image.yaml":              "credentials for a private registry",
	"taskruns/no-ci/windows-node-affinity.yaml":           "a Windows node",
	"taskruns/no-ci/windows-node-selectors.yaml":          "a Windows node",
}

// Busybox is where Debian has it.
const Busybox = "/bin/busybox"

// SearchPath is the PATH that stands for the images of the examples: this
// machine's programs, with sh and ash as most of the images have them, which is
// busybox's. Where there is no busybox it is bash, which knows as much.
func SearchPath(dir string) (string, error) {
	shell := Busybox
	if _, err := os.Stat(shell); err != nil {
		shell = "/bin/bash"
	}
	for _, name := range []string{"sh", "ash"} {
		if err := os.Symlink(shell, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir + ":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", nil
}
