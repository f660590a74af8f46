package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// said is a transport whose server says these bytes, whatever it is asked.
type said struct{ greeting, answer string }

func (s said) Open(context.Context, string, int) (Session, error) { return s, nil }
func (s said) Resume(context.Context, string, int) Session        { return nil }
func (s said) Greeting() io.Reader                                { return strings.NewReader(s.greeting) }
func (s said) Close() error                                       { return nil }
func (s said) Exchange(context.Context, []byte) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(s.answer)), nil
}

func pkts(lines ...string) string {
	var b pktBuffer
	for _, l := range lines {
		switch l {
		case "0000":
			b.flush()
		case "0001":
			b.delim()
		default:
			b.printf("%s", l)
		}
	}
	return b.String()
}

const (
	v2   = "000eversion 2\n000cls-refs\n0012fetch=shallow\n0000"
	hash = "1234567890123456789012345678901234567890"
)

// use asks everything of a server and reads all it says; it must come back
// with an error or an answer, in bounded time and memory.
func use(s said) []error {
	c := &Client{Transport: s}
	_, listed := c.List(context.Background(), "refs/")
	result, fetched := (&Client{Transport: s}).Fetch(context.Background(), FetchRequest{Wants: []string{hash}, Words: &Words{}, Depth: 1})
	if fetched == nil {
		_, fetched = io.Copy(io.Discard, result.Pack)
		result.Pack.Close()
	}
	p, pushed := (&Client{Transport: s}).Push(context.Background(), func(name string) bool { return name == "refs/heads/main" }, func(string) bool { return true })
	if pushed == nil {
		_, pushed = p.Send(context.Background(), []Command{{Ref: "refs/heads/main", Old: zero, New: hash}}, []byte("PACK"))
	}
	return []error{listed, fetched, pushed}
}

func TestRow41_AServerThatBreaksTheProtocol(t *testing.T) {
	for name, s := range map[string]said{
		"nothing":             {},
		"no length":           {greeting: "zzzz"},
		"length too small":    {greeting: "0003"},
		"length too large":    {greeting: "ffff" + strings.Repeat("x", 70000)},
		"cut":                 {greeting: "00ffversion"},
		"cut capabilities":    {greeting: "000eversion 2\n000cls-refs\n"},
		"no hash":             {greeting: pkts("nonsense refs/heads/main\x00 report-status", "0000")},
		"html":                {greeting: "<html>"},
		"err":                 {greeting: pkts("ERR access denied\n")},
		"answer cut":          {greeting: v2, answer: "00ff"},
		"answer not a hash":   {greeting: v2, answer: pkts("x refs/heads/main\n", "0000")},
		"answer without pack": {greeting: v2, answer: pkts("shallow-info\n", "shallow x\n", "0000")},
		"unknown band":        {greeting: v2, answer: pkts("packfile\n", "\x07data")},
		"empty band":          {greeting: v2, answer: pkts("packfile\n") + "0004"},
		"fatal band":          {greeting: v2, answer: pkts("packfile\n", "\x03out of memory")},
	} {
		t.Run(name, func(t *testing.T) {
			for i, err := range use(s) {
				if i == 0 && strings.Contains(name, "pack") || i == 0 && strings.Contains(name, "band") {
					continue // no answer to a question for refs
				}
				if i == 2 && strings.HasPrefix(s.greeting, "000eversion 2") {
					continue // receive-pack knows no version 2
				}
				if err == nil {
					t.Errorf("question %d: no error", i)
				}
			}
		})
	}
}

func FuzzServer(f *testing.F) {
	f.Add(v2, pkts(hash+" refs/heads/main\n", "0000"))
	f.Add(v2, pkts("shallow-info\n", "shallow "+hash+"\n", "0001", "packfile\n", "\x01PACK", "0000"))
	f.Add(pkts(hash+" refs/heads/main\x00 report-status side-band-64k shallow", "0000"), pkts("\x01"+pkts("unpack ok\n", "ok refs/heads/main\n", "0000"), "0000"))
	f.Add(pkts(hash+" refs/heads/main\x00 report-status", "0000"), pkts("unpack ok\n", "ng refs/heads/main no\n", "0000"))
	f.Fuzz(func(t *testing.T, greeting, answer string) { use(said{greeting, answer}) })
}

func TestWordsOfAServerAreBoundedAndPrintable(t *testing.T) {
	w := &Words{}
	for range 1000 {
		fmt.Fprintf(w, "\x1b[31mred\x07 and long %s\r", strings.Repeat("x", 100))
	}
	text := w.String()
	if len(text) > maxWords || strings.ContainsAny(text, "\x1b\x07\r") {
		t.Errorf("%d bytes, %q…", len(text), text[:20])
	}
}

func TestMemoryDoesNotGrowWithRefsNobodyAskedFor(t *testing.T) {
	var b pktBuffer
	b.printf("%s refs/heads/main\x00 report-status\n", hash)
	for n := range 50000 {
		b.printf("%s refs/pull/%d/head\n", hash, n)
	}
	b.flush()
	g, err := readGreeting(bytes.NewReader(b.Bytes()), func(r Ref) bool { return r.Name == "refs/heads/main" })
	if err != nil || len(g.refs) != 1 {
		t.Fatalf("kept %d refs, %v", len(g.refs), err)
	}
}

func TestTransient(t *testing.T) {
	for _, test := range []struct {
		err   error
		after time.Duration
		ok    bool
	}{
		{&HTTPError{Status: 503, RetryAfter: time.Second}, time.Second, true},
		{&HTTPError{Status: 404}, 0, false},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), 0, true},
		{context.Canceled, 0, false},
		{errors.New("x"), 0, false},
		{&RemoteError{Message: "no"}, 0, false},
	} {
		if after, ok := Transient(test.err); ok != test.ok || after != test.after {
			t.Errorf("%v: %v, %v", test.err, after, ok)
		}
	}
}
