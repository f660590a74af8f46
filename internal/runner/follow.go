package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Follow tells the events of a run from its begin, as they happen, and returns
// its record once it has ended. It works from any process.
func (s Store) Follow(ctx context.Context, name string, tell func(Event)) (Record, error) {
	f, err := os.Open(filepath.Join(s.Dir, filepath.Base(name), "events.jsonl"))
	if err != nil {
		_, err := s.Get(name)
		return Record{}, err
	}
	defer f.Close()
	reader := bufio.NewReader(f)
	var part []byte
	for {
		// The state is read before the events: what ended has written them all.
		r, err := s.Get(name)
		if err != nil {
			return r, err
		}
		for {
			line, err := reader.ReadBytes('\n')
			part = append(part, line...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return r, fmt.Errorf("follow run %s: %w", name, err)
			}
			var e Event
			if err := json.Unmarshal(part, &e); err != nil {
				return r, fmt.Errorf("follow run %s: %w", name, err)
			}
			part = nil
			tell(e)
		}
		if r.State != StateRunning {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
