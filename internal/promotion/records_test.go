package promotion_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// TestUnreadableRecordsAreOneWarning: a note of another tool may have hundreds of
// lines, and each of them is no record.
func TestUnreadableRecordsAreOneWarning(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	notes := map[git.Hash]string{
		"1111111111111111111111111111111111111111": strings.Repeat("no JSON\n", 200),
		"2222222222222222222222222222222222222222": strings.Repeat("neither\n", 200),
	}
	promotion.RecordsOf(t.Context(), environment.Environment{Name: "staging"}, notes)
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "lines=400") {
		t.Errorf("%d warnings: %.300s", n, &log)
	}
}
