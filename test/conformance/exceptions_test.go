//go:build e2e

package conformance

// exceptions are the differences that are known.
var exceptions = []exception{
	{"own/dollar.yaml", "*", "Tekton validates the Pipeline again with the values of its parameters in it, and refuses $(x) for a variable that it does not know"},
}
