//go:build e2e

package conformance

// exceptions are the differences that are known.
var exceptions = []exception{}
