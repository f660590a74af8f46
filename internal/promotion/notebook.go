package promotion

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// intentsFile holds the intents of a checkout, one JSON object a line, below
// its .git folder, where no commit picks it up.
const intentsFile = "lockstep/intents"

// maxIntents bounds the file, in bytes.
const maxIntents = 1 << 20

// Append notes an intent in the checkout.
func Append(repository *git.Repository, i Intent) error {
	line, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("note the intent: %w", err)
	}
	file := filepath.Join(repository.GitDir(), intentsFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("note the intent: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("note the intent: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("note the intent in %s: %w", file, err)
	}
	return nil
}

// Read gives the noted intents in their order, none when nothing was noted.
func Read(repository *git.Repository) ([]Intent, error) {
	file := filepath.Join(repository.GitDir(), intentsFile)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read intents: %w", err)
	}
	if info.Size() > maxIntents {
		return nil, invalidIntents(fmt.Errorf("%s has %d bytes, more than %d", file, info.Size(), maxIntents))
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read intents: %w", err)
	}
	return parse(file, content)
}

func parse(file string, content []byte) ([]Intent, error) {
	var intents []Intent
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, maxIntents)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var i Intent
		err := json.Unmarshal(lines.Bytes(), &i)
		if err == nil {
			err = CheckPath(i.File)
		}
		if err != nil {
			return nil, invalidIntents(fmt.Errorf("%s:%d: %w", file, number, err))
		}
		intents = append(intents, i)
	}
	return intents, lines.Err()
}

func invalidIntents(err error) error {
	return fault.Refused("InvalidIntent", fmt.Errorf("read intents: %w", err),
		"Clone again and repeat the change; or remove the file, and the change is committed without being replayed.")
}

// Clear forgets the intents: they are in a commit, or overtaken.
func Clear(repository *git.Repository) error {
	err := os.Remove(filepath.Join(repository.GitDir(), intentsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clear intents: %w", err)
	}
	return nil
}
