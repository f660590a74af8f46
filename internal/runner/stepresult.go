package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/google/cel-go/cel"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	podconvert "github.com/tektoncd/pipeline/pkg/pod"
)

// stepResult finds $(steps.<step>.results.<result>), with an index [0] or [*]
// or a key behind it. Tekton fills these in inside the pod, when the step
// starts, from what earlier steps wrote.
var stepResult = regexp.MustCompile(`\$\(steps\.([A-Za-z0-9-]+)\.results\.([A-Za-z0-9_-]+)(?:\[(\*|\d+)\]|\.([A-Za-z0-9_.-]+))?\)`)

// stepsFolder holds <container>/results/<name> in a pod's folder.
const stepsFolder = "tekton/steps"

// stepResults reads the results of earlier steps of a pod.
type stepResults struct{ pod *os.Root }

// value returns what an expression stands for: a text, or the items of [*].
func (r stepResults) value(match []string) (text string, items []string, err error) {
	step, result, index, key := match[1], match[2], match[3], match[4]
	content, err := r.pod.ReadFile(filepath.Join(stepsFolder, podconvert.GetContainerName(step), "results", result))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("%s: step %s wrote no result %s", match[0], step, result)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", match[0], err)
	}
	var v pipelinev1.ResultValue
	if err := v.UnmarshalJSON(content); err != nil {
		return "", nil, fmt.Errorf("%s: %w", match[0], err)
	}
	switch {
	case index == "*":
		return "", v.ArrayVal, nil
	case index != "":
		i, err := strconv.Atoi(index)
		if err != nil || i >= len(v.ArrayVal) {
			return "", nil, fmt.Errorf("%s: the result has %d items", match[0], len(v.ArrayVal))
		}
		return v.ArrayVal[i], nil, nil
	case key != "":
		return v.ObjectVal[key], nil, nil
	}
	return v.StringVal, nil, nil
}

// text replaces the expressions in a text, and none in what they stand for.
func (r stepResults) text(s string) (string, error) {
	var faults []error
	s = stepResult.ReplaceAllStringFunc(s, func(expression string) string {
		value, _, err := r.value(stepResult.FindStringSubmatch(expression))
		faults = append(faults, err)
		return value
	})
	return s, errors.Join(faults...)
}

// words replaces the expressions in words; one that is an expression with [*]
// alone becomes as many words as there are items.
func (r stepResults) words(words []string) ([]string, error) {
	var out []string
	for _, word := range words {
		if match := stepResult.FindStringSubmatch(word); match != nil && match[3] == "*" {
			if match[0] != word {
				return nil, fmt.Errorf("%s must stand alone in %q", match[0], word)
			}
			_, items, err := r.value(match)
			if err != nil {
				return nil, err
			}
			out = append(out, items...)
			continue
		}
		word, err := r.text(word)
		if err != nil {
			return nil, err
		}
		out = append(out, word)
	}
	return out, nil
}

// allows says whether a step's when expressions let it run.
func (r stepResults) allows(when pipelinev1.StepWhenExpressions) (bool, error) {
	evaluated := map[string]bool{}
	var filled pipelinev1.StepWhenExpressions
	for _, w := range when {
		var err error
		if w.Input, err = r.text(w.Input); err != nil {
			return false, err
		}
		if w.Values, err = r.words(w.Values); err != nil {
			return false, err
		}
		if w.CEL, err = r.text(w.CEL); err != nil {
			return false, err
		}
		unmaskAll(&w)
		if w.CEL != "" {
			if evaluated[w.CEL], err = evaluate(w.CEL); err != nil {
				return false, err
			}
		}
		filled = append(filled, w)
	}
	return filled.AllowsExecution(evaluated), nil
}

// evaluate runs a CEL expression that knows no variables, as Tekton's does in a
// step.
func evaluate(expression string) (bool, error) {
	env, err := cel.NewEnv()
	if err != nil {
		return false, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return false, issues.Err()
	}
	program, err := env.Program(ast)
	if err != nil {
		return false, err
	}
	out, _, err := program.Eval(map[string]any{})
	if err != nil {
		return false, err
	}
	value, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("the CEL expression %s is not true or false", expression)
	}
	return value, nil
}
