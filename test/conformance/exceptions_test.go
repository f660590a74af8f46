//go:build e2e

package conformance

// exceptions are the differences that are known.
var exceptions = []exception{
	{"examples/taskruns/creds-init-only-mounts-provided-credentials.yaml", "*", "this machine has no ServiceAccounts: --credentials takes the place of their secrets", false},
	{"examples/taskruns/readonly-internal-dir.yaml", "*", "steps on the host are not kept out of each other's folders", false},
	{"examples/taskruns/task-result.yaml", "taskrun print-date-run0 result *", "the time of the run", false},
	{"own/timeouts.yaml", "pipelinerun run-timeout skipped *", "Tekton ends the run with its tasks still under way, and then nothing is skipped; " +
		"where the API server refuses that update because another was faster, its second try finds them ended", true},
}

// otherCluster are examples that need another cluster than a single node, with
// what they need.
var otherCluster = map[string]string{
	"examples/pipelineruns/beta/pipelinerun-with-matrix-and-taskrunspecs-param-substitution.yaml": "nodes of two kinds",
}
