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
	"github.com/lockstep-cd/lockstep/internal/yaml"
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
// keys of an entry from text inside one. An entry of a wanted chart that is
// written in another form is given to a parser, alone, and what cannot be read
// so either is an error: it must not pass for a version that does not exist.
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
	list        string // the key whose value or list is being read
	text        strings.Builder
	odd         bool // the entry is written in a form that is not followed here
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
		if y.chart != "" && y.text.Len() <= yaml.MaxSize {
			y.text.Write(append(line, '\n'))
		}
		seen = seen || y.inEntries
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	if !seen {
		return nil, invalidIndex("it has no entries")
	}
	if err := y.endEntry(); err != nil {
		return nil, invalidIndex("%w", err)
	}
	return y.found, nil
}

// isItem reports whether a line begins an item of a list.
func isItem(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

func (y *yamlIndex) line(indent int, text string) error {
	if indent == 0 && !isItem(text) {
		if err := y.endEntry(); err != nil {
			return err
		}
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
	if indent == y.chartIndent && !isItem(text) {
		if err := y.endEntry(); err != nil {
			return err
		}
		return y.startChart(text)
	}
	if y.chart != "" {
		return y.inChart(indent, text)
	}
	return nil
}

func (y *yamlIndex) startChart(text string) error {
	name, rest, ok := strings.Cut(text, ":")
	if !ok || strings.ContainsRune("{}[],&*!|>%@?", rune(text[0])) || scalar(name) == "" {
		return fmt.Errorf("%.40q is not the name of a chart in block form", text)
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
	if indent == y.dashIndent && isItem(text) {
		if err := y.endEntry(); err != nil {
			return err
		}
		item := strings.TrimLeft(text[1:], " ")
		y.keyIndent = indent + len(text) - len(item)
		y.found[y.chart] = append(y.found[y.chart], indexEntry{})
		y.key(item)
		return nil
	}
	if len(y.found[y.chart]) == 0 {
		return fmt.Errorf("the entries of %s are not in block form", y.chart)
	}
	switch {
	case y.list == "urls" && indent >= y.keyIndent && isItem(text):
		y.odd = y.odd || !simple(text[1:])
		y.entry().URLs = append(y.entry().URLs, scalar(text[1:]))
	case indent == y.keyIndent && !isItem(text):
		y.key(text)
	case indent <= y.dashIndent || y.matters():
		y.odd = true
	}
	return nil
}

func (y *yamlIndex) entry() *indexEntry {
	entries := y.found[y.chart]
	return &entries[len(entries)-1]
}

// matters reports whether the value that is being read is one that is kept.
func (y *yamlIndex) matters() bool {
	return y.list == "version" || y.list == "digest" || y.list == "urls"
}

// key reads a key of an entry and the value beside it.
func (y *yamlIndex) key(text string) {
	key, value, ok := strings.Cut(text, ":")
	y.list = key
	if !ok || !simple(key) || strings.TrimSpace(key) != key || key[0] == '"' || key[0] == '\'' || key == "<<" {
		y.odd = true
		return
	}
	switch key {
	case "version":
		y.odd = y.odd || !simple(value)
		y.entry().Version = scalar(value)
	case "digest":
		y.odd = y.odd || !simple(value)
		y.entry().Digest = scalar(value)
	case "urls":
		y.odd = y.odd || scalar(value) != ""
	}
}

// endEntry gives an entry to a parser that was written in a form which is not
// followed here.
func (y *yamlIndex) endEntry() error {
	text, odd := y.text.String(), y.odd
	y.text.Reset()
	y.odd = false
	if !odd {
		return nil
	}
	parsed, err := yaml.Parse([]byte(text))
	if err != nil {
		return fmt.Errorf("an entry of %s: %w", y.chart, err)
	}
	*y.entry(), err = parsedEntry(parsed)
	if err != nil {
		return fmt.Errorf("an entry of %s: %w", y.chart, err)
	}
	return nil
}

// parsedEntry is the entry in a list of one.
func parsedEntry(text *yaml.Text) (indexEntry, error) {
	documents := text.Documents()
	if len(documents) != 1 || len(documents[0].Items()) != 1 {
		return indexEntry{}, errors.New("it is no item of a list")
	}
	item := documents[0].Items()[0]
	if item.Kind() != yaml.Mapping || len(item.Merges()) > 0 {
		return indexEntry{}, item.Errorf("it is no mapping of its own")
	}
	e := indexEntry{Version: item.Get("version").Target().Text(), Digest: item.Get("digest").Target().Text()}
	for _, url := range item.Get("urls").Items() {
		e.URLs = append(e.URLs, url.Target().Text())
	}
	return e, nil
}

// simple reports whether a value stands on its line, plain or in quotes that
// hide nothing, so that scalar reads it.
func simple(text string) bool {
	text = strings.TrimSpace(text)
	if text == "" {
		return false
	}
	switch c := text[0]; {
	case c == '"' || c == '\'':
		return strings.Count(text, string(c)) == 2 && !strings.Contains(text, `\`)
	default:
		return !strings.ContainsRune("{}[],&*!|>%@?#`", rune(c))
	}
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
