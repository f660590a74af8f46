package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// answerConst is the line of the example services that says what they answer.
var answerConst = regexp.MustCompile(`(?m)^const answer = .*$`)

// SetAnswer changes what an example service answers.
func SetAnswer(c *Checkout, answer string) error {
	path := filepath.Join(c.Dir, "main.go")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !answerConst.Match(text) {
		return fmt.Errorf("%s has no line `const answer = …`", path)
	}
	line := fmt.Sprintf("const answer = %q", answer)
	return os.WriteFile(path, answerConst.ReplaceAllLiteral(text, []byte(line)), 0o644)
}

// Answer asks a service of an environment over HTTP, by its alias in the
// environment's chart.
func (s *Site) Answer(ctx context.Context, e Environment, alias string) (string, error) {
	return s.ask(ctx, e.Namespace, e.Name+"-"+alias, "")
}

// ask sends a GET to a Service, through the API server: this machine need not
// be a node of the cluster.
func (s *Site) ask(ctx context.Context, namespace, name, path string) (string, error) {
	_, port, err := s.service(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	return s.Kubectl(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%d/proxy/%s", namespace, name, port, path))
}

// Shown asks a service and wants a text in its answer.
func (s *Site) Shown(ctx context.Context, e Environment, alias, answer string) (string, error) {
	got, err := s.Answer(ctx, e, alias)
	if err != nil {
		return "", err
	}
	if !strings.Contains(got, answer) {
		return "", fmt.Errorf("%s in %s answers %q, not %q", alias, e.Namespace, got, answer)
	}
	return "answers: " + strings.TrimSpace(got), nil
}

// Shown says that nothing was executed that could answer.
func (l *Local) Shown(context.Context, Environment, string, string) (string, error) {
	return "has simulated nodes: the API server admitted the version and its pods are ready, but that its containers run was not verified", nil
}

// Crash says how the bad version comes to crash here.
func (s *Site) Crash() string { return "every container of it ends at once" }

// Crash says that nothing was executed that could crash.
func (l *Local) Crash() string {
	return "the nodes are simulated: this version's chart asks them to show the crash that a real node would have"
}
