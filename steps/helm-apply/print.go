package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/cluster"
)

// printDifferences writes one paragraph per object. stdout is left to the
// results.
func printDifferences(w io.Writer, differences []cluster.Difference) error {
	var b strings.Builder
	if len(differences) == 0 {
		b.WriteString("nothing would change\n")
	}
	for _, d := range differences {
		switch {
		case d.Missing:
			fmt.Fprintf(&b, "+ %s\n", d.Object)
		case d.Removed:
			fmt.Fprintf(&b, "- %s\n", d.Object)
		default:
			fmt.Fprintf(&b, "~ %s\n", d.Object)
		}
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "    %s: %s → %s\n", f.Path, orNone(f.From), orNone(f.To))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orNone(value string) string {
	if value == "" {
		return "(none)"
	}
	return value
}
