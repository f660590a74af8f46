package process

import (
	"fmt"
	"os"
	"strings"
)

const (
	tailLines = 15
	tailBytes = 16 << 10
)

// Tail returns the last lines of a server's log under a heading with the log's path.
func (t Table) Tail(name string) string { return Tail(t.LogPath(name)) }

// Tail returns the last lines of the file at path under a heading with that path.
func Tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	text := make([]byte, min(info.Size(), tailBytes))
	n, _ := f.ReadAt(text, info.Size()-int64(len(text)))
	lines := strings.Split(strings.TrimRight(string(text[:n]), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return fmt.Sprintf("the end of %s:\n  %s", path, strings.Join(lines, "\n  "))
}
