package registry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// indexEntry is one version of a chart in a repository's index.
type indexEntry struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"` // sha256 in hex, with or without "sha256:"
	URLs    []string `json:"urls"`
}

const (
	maxIndex = 1 << 30 // bytes read of one index
	maxLine  = 1 << 20 // bytes of one line
)

// readIndex reads an index.yaml as a stream and keeps only the entries of the
// named charts, so that memory does not grow with the repository. It reads the
// block form that Helm, ChartMuseum, Gitea and Harbor write, and JSON.
//
// It is no YAML parser: it follows indentation, which is enough to tell the
// keys of an entry from text inside one, and refuses what it does not know.
func readIndex(r io.Reader, names []string) (map[string][]indexEntry, error) {
	limited := &io.LimitedReader{R: r, N: maxIndex}
	buffered := bufio.NewReaderSize(limited, 64<<10)
	first, err := firstByte(buffered)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var found map[string][]indexEntry
	if first == '{' {
		found, err = readJSONIndex(buffered, wanted)
	} else {
		found, err = readYAMLIndex(buffered, wanted)
	}
	if limited.N <= 0 {
		return nil, fault.Refused("IndexTooLarge", fmt.Errorf("the index is larger than %d bytes", maxIndex), "")
	}
	return found, err
}

// firstByte peeks at the first byte that is not space.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return 0, invalidIndex("it is empty")
		}
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n\ufeff", rune(b)) || b > 0x7f {
			return b, r.UnreadByte()
		}
	}
}

func invalidIndex(format string, args ...any) error {
	return fault.Refused("IndexInvalid", fmt.Errorf("the repository's index.yaml: "+format, args...),
		"Check that the URL is a chart repository's: its index.yaml must list entries.")
}

func readJSONIndex(r io.Reader, wanted map[string]bool) (map[string][]indexEntry, error) {
	d := json.NewDecoder(r)
	found := map[string][]indexEntry{}
	if err := inObject(d, func(key string) error {
		if key != "entries" {
			return d.Decode(new(json.RawMessage))
		}
		return inObject(d, func(chart string) error {
			if !wanted[chart] {
				return d.Decode(new(json.RawMessage))
			}
			var entries []indexEntry
			err := d.Decode(&entries)
			found[chart] = entries
			return err
		})
	}); err != nil {
		return nil, invalidIndex("%w", err)
	}
	return found, nil
}

// inObject calls field at each key of the object that d stands before.
func inObject(d *json.Decoder, field func(key string) error) error {
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("no object at byte %d: %w", d.InputOffset(), err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(fmt.Sprint(key)); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// yamlIndex follows the nesting entries: → <chart>: → - <key>: of a block index.
type yamlIndex struct {
	wanted map[string]bool
	found  map[string][]indexEntry

	inEntries   bool
	chartIndent int    // of the chart names; -1 until the first one
	chart       string // the wanted chart whose entries are being read, or ""
	dashIndent  int    // of the entries' dashes; -1 until the first one
	keyIndent   int    // of the entry's keys
	list        string // the key whose list is being read
}

func readYAMLIndex(r io.Reader, wanted map[string]bool) (map[string][]indexEntry, error) {
	y := &yamlIndex{wanted: wanted, found: map[string][]indexEntry{}, chartIndent: -1}
	seen := false
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimRight(bytes.TrimPrefix(lines.Bytes(), []byte("\xef\xbb\xbf")), " \r")
		text := bytes.TrimLeft(line, " ")
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		if err := y.line(len(line)-len(text), string(text)); err != nil {
			return nil, invalidIndex("line %d: %w", n, err)
		}
		seen = seen || y.inEntries
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	if !seen {
		return nil, invalidIndex("it has no entries")
	}
	return y.found, nil
}

func (y *yamlIndex) line(indent int, text string) error {
	if indent == 0 && !strings.HasPrefix(text, "- ") {
		key, rest, _ := strings.Cut(text, ":")
		key, rest = scalar(key), scalar(rest)
		y.inEntries, y.chart = key == "entries", ""
		if y.inEntries && rest != "" && rest != "{}" {
			return fmt.Errorf("entries in flow form are not supported")
		}
		return nil
	}
	if !y.inEntries {
		return nil
	}
	if y.chartIndent < 0 {
		y.chartIndent = indent
	}
	if indent == y.chartIndent && !strings.HasPrefix(text, "- ") {
		return y.startChart(text)
	}
	if y.chart != "" {
		return y.inChart(indent, text)
	}
	return nil
}

func (y *yamlIndex) startChart(text string) error {
	name, rest, ok := strings.Cut(text, ":")
	if !ok {
		return nil // continuation of a scalar; no chart
	}
	name, rest = scalar(name), scalar(rest)
	y.chart, y.dashIndent, y.list = "", -1, ""
	if !y.wanted[name] {
		return nil
	}
	if rest != "" && rest != "[]" {
		return fmt.Errorf("the entries of %s are not in block form", name)
	}
	y.chart = name
	return nil
}

// inChart reads one line of the chart's list. Lines that are indented deeper
// than the entry's keys belong to values that do not matter, or to urls.
func (y *yamlIndex) inChart(indent int, text string) error {
	if y.dashIndent < 0 {
		y.dashIndent = indent
	}
	if indent == y.dashIndent && strings.HasPrefix(text, "- ") {
		item := strings.TrimLeft(text[2:], " ")
		y.keyIndent = indent + len(text) - len(item)
		y.found[y.chart] = append(y.found[y.chart], indexEntry{})
		return y.key(item)
	}
	switch {
	case y.list == "urls" && indent >= y.keyIndent && strings.HasPrefix(text, "- "):
		y.entry().URLs = append(y.entry().URLs, scalar(text[2:]))
	case indent == y.keyIndent && !strings.HasPrefix(text, "- "):
		return y.key(text)
	}
	return nil
}

func (y *yamlIndex) entry() *indexEntry {
	entries := y.found[y.chart]
	return &entries[len(entries)-1]
}

func (y *yamlIndex) key(text string) error {
	key, value, ok := strings.Cut(text, ":")
	if !ok || len(y.found[y.chart]) == 0 {
		return nil
	}
	y.list = key
	value = scalar(value)
	switch key {
	case "version":
		y.entry().Version = value
	case "digest":
		y.entry().Digest = value
	case "urls":
		if value != "" && value != "[]" {
			return fmt.Errorf("urls are not in block form")
		}
	}
	return nil
}

// scalar reads a plain or quoted value that stands on one line. One that
// continues on the next line gives nothing: none of the values that matter does.
func scalar(text string) string {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, `"`):
		value, _ := strconv.Unquote(text[:strings.LastIndexByte(text, '"')+1])
		return value
	case strings.HasPrefix(text, "'"):
		end := strings.LastIndexByte(text, '\'')
		return strings.ReplaceAll(text[min(1, end):end], "''", "'")
	case strings.HasPrefix(text, "#"):
		return ""
	}
	if comment := strings.Index(text, " #"); comment >= 0 {
		text = strings.TrimSpace(text[:comment])
	}
	return text
}
