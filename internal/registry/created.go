package registry

import (
	"fmt"
	"strconv"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// ParseCreated reads the time that goes into what is published: seconds since
// 1970, as SOURCE_DATE_EPOCH and `git log --format=%ct` write it, or RFC 3339.
// Empty is 1970, never now: one commit must give one digest.
func ParseCreated(text string) (time.Time, error) {
	if text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 {
		return time.Unix(seconds, 0).UTC(), nil
	}
	created, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fault.Usage("TimeInvalid", fmt.Errorf("created %q is no time", text), "Example: 1717243200 or 2024-06-01T12:00:00Z")
	}
	return created.UTC(), nil
}
