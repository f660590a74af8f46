package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCancelledCommandTakesItsChildrenAlong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "pid")
	cmd := Command(ctx, "/bin/sh", "-c", "sleep 600 & echo $! > "+file+"; wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	table := Table{}
	written := func(context.Context) error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	}
	if err := table.Await(t.Context(), 10*time.Second, "the child", written); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = cmd.Wait()
	gone := func(context.Context) error {
		if _, err := startOf(child); err == nil {
			return errors.New("it runs")
		}
		return nil
	}
	if err := table.Await(t.Context(), 10*time.Second, "the child to end", gone); err != nil {
		t.Error(err)
	}
}
