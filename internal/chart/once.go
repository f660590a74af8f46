package chart

import (
	"bytes"
	"fmt"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// once keeps one of the charts that have the same name and version: Helm makes of
// it as many as there are aliases. It refuses two with other content, of which
// Helm would render one, by chance, for both.
func once(charts []*Chart) ([]*Chart, error) {
	first := map[string]*Chart{}
	var kept []*Chart
	for _, c := range charts {
		name := c.Name() + " " + c.Metadata.Version
		other, again := first[name]
		if !again {
			first[name] = c
			kept = append(kept, c)
			continue
		}
		equal, err := equalContent(c, other)
		if err != nil {
			return nil, fmt.Errorf("compare the charts %s: %w", name, err)
		}
		if !equal {
			return nil, fault.Refused("DependencyDuplicate",
				fmt.Errorf("there are two charts %s with different content: %w", name, ErrDuplicate),
				"Take both from one place, or give one of them another version: aliases share one chart.")
		}
	}
	return kept, nil
}

// equalContent compares what a package would hold: the same chart looks
// different in a folder and in an archive that Helm made of it.
func equalContent(a, b *Chart) (bool, error) {
	one, err := archiveOf(a, time.Time{})
	if err != nil {
		return false, err
	}
	two, err := archiveOf(b, time.Time{})
	return bytes.Equal(one, two), err
}
