package step

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
)

type busy struct {
	Count string `result:"count"`
}

// TestRow16_AbandonedResultsAreEmpty covers a program that goes on writing its
// results after a signal: the race detector hears of it when they are read.
func TestRow16_AbandonedResultsAreEmpty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "count")
	ctx, cancel := context.WithCancelCause(t.Context())
	over, ended := make(chan struct{}), make(chan struct{})
	p := &program{
		layout: layoutOf("busy", "count on", reflect.TypeFor[busy]()), config: reflect.New(reflect.TypeFor[busy]()),
		args: []string{"busy"}, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{},
		env: func(name string) (string, bool) {
			if name != "RESULT_COUNT_PATH" {
				return "", false
			}
			return file, true
		},
		run: func(_ context.Context, config any) error {
			defer close(ended)
			c := config.(*busy)
			for i := 0; ; i++ {
				c.Count = strconv.Itoa(i)
				if i == 1 {
					cancel(errors.New("signal"))
				}
				select {
				case <-over:
					return nil
				default:
				}
			}
		},
	}
	code := p.command(ctx)
	close(over)
	<-ended
	if code == 0 {
		t.Error("it succeeded")
	}
	if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
		t.Errorf("count = %q, %v", text, err)
	}
}
