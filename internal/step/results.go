package step

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// resultsLimit is how many bytes the results of one step may have together.
// The kubelet cuts the message of each container to 12 KiB divided by the
// containers of the pod, and a cut message loses every result of it.
const resultsLimit = 1000

// errorMessageLimit is the length of the result error-message in characters.
const errorMessageLimit = 300

type result struct {
	name, env, value string
}

// writeResults writes each result to the file that its variable names, whole
// or not at all, without a final newline. A result without such a file is
// printed as name=value, unless it is empty.
func writeResults(results []result, env func(string) (string, bool), stdout io.Writer) error {
	total := 0
	for _, r := range results {
		total += len(r.value)
	}
	if total > resultsLimit {
		return fmt.Errorf("the results have %d bytes together, more than the %d that a step may hand on", total, resultsLimit)
	}
	var faults []error
	for _, r := range results {
		path, _ := env(r.env)
		if path == "" {
			if r.value != "" {
				fmt.Fprintf(stdout, "%s=%s\n", r.name, r.value)
			}
			continue
		}
		if err := writeWhole(path, r.value); err != nil {
			faults = append(faults, fmt.Errorf("write result %s: %w", r.name, err))
		}
	}
	return errors.Join(faults...)
}

// writeWhole writes a file beside path and moves it there, so that nobody ever
// reads a part of it.
func writeWhole(path, content string) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary.Name())
		}
	}()
	if _, err := temporary.WriteString(content); err != nil {
		return errors.Join(err, temporary.Close())
	}
	// CreateTemp makes it 0600; another step may run as another user.
	if err := temporary.Chmod(0o644); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// oneLine folds a message into the form of the result error-message.
func oneLine(message string) string {
	folded := []rune(strings.Join(strings.Fields(message), " "))
	if len(folded) > errorMessageLimit {
		folded = append(folded[:errorMessageLimit-1], '…')
	}
	return string(folded)
}
