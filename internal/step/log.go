package step

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/lockstep-cd/lockstep/internal/redact"
)

// newLogger makes the log of a program: human lines, or JSON for machines.
// Rooms take secrets out of what they say; the log does so once more, because a
// library's message may reach it unseen.
func newLogger(format string, w io.Writer) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(&human{w: w, mu: &sync.Mutex{}}), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: clean})), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither text nor json", format)
}

func clean(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, redact.Text(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, redact.Text(err.Error()))
		}
	}
	return a
}

// human writes "message  key=value …", with the level in front where it is not
// the ordinary one.
type human struct {
	w     io.Writer
	mu    *sync.Mutex
	attrs []slog.Attr
	group string
}

func (h *human) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h *human) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if r.Level != slog.LevelInfo {
		fmt.Fprintf(&b, "%s: ", strings.ToLower(r.Level.String()))
	}
	b.WriteString(redact.Text(r.Message))
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&b, "  %s%s=%s", h.group, a.Key, quoted(clean(nil, a).Value.String()))
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, b.String())
	return err
}

func (h *human) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append(append([]slog.Attr{}, h.attrs...), attrs...)
	return &next
}

func (h *human) WithGroup(name string) slog.Handler {
	next := *h
	next.group += name + "."
	return &next
}

// quoted keeps a value on one line and in one piece.
func quoted(value string) string {
	if value == "" || strings.ContainsAny(value, " \t\r\n\"") {
		return fmt.Sprintf("%q", value)
	}
	return value
}
