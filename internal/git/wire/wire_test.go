package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
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
func use(s Transport) []error { return []error{list(s), fetch(s), push(s)} }

func list(s Transport) error {
	_, err := (&Client{Transport: s}).List(context.Background(), "refs/")
	return err
}

func fetch(s Transport) error {
	result, err := (&Client{Transport: s}).Fetch(context.Background(), FetchRequest{Wants: []string{hash}, Words: &Words{}, Depth: 1})
	if err == nil {
		_, err = io.Copy(io.Discard, result.Pack)
		result.Pack.Close()
	}
	return err
}

func push(s Transport) error {
	p, err := (&Client{Transport: s}).Push(context.Background(), func(name string) bool { return name == "refs/heads/main" }, func(string) bool { return true })
	if err == nil {
		_, err = p.Send(context.Background(), []Command{{Ref: "refs/heads/main", Old: zero, New: hash}}, []byte("PACK"))
	}
	return err
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

// endless is a server that says something and then the same thing for ever.
type endless struct{ greeting, again, answer, answerAgain string }

func (e endless) Open(context.Context, string, int) (Session, error) { return e, nil }
func (e endless) Resume(context.Context, string, int) Session        { return nil }
func (e endless) Greeting() io.Reader                                { return forEver(e.greeting, e.again) }
func (e endless) Close() error                                       { return nil }
func (e endless) Exchange(context.Context, []byte) (io.ReadCloser, error) {
	return io.NopCloser(forEver(e.answer, e.answerAgain)), nil
}

func forEver(first, again string) io.Reader {
	return io.MultiReader(strings.NewReader(first), &repeated{text: again})
}

// repeated is a text without end; none where the text is empty.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(b []byte) (n int, err error) {
	if r.text == "" {
		return 0, io.EOF
	}
	for n < len(b) {
		copied := copy(b[n:], r.text[r.at:])
		n, r.at = n+copied, (r.at+copied)%len(r.text)
	}
	return n, nil
}

func TestRow41_AServerWithoutEnd(t *testing.T) {
	long := strings.Repeat("x", 60000)
	old := pkts(hash + " refs/heads/main\x00 report-status side-band-64k shallow")
	for name, c := range map[string]struct {
		question func(Transport) error
		server   endless
	}{
		"capabilities":         {list, endless{greeting: "000eversion 2\n", again: pkts(long + "\n")}},
		"refs":                 {list, endless{greeting: old, again: pkts(hash + " refs/heads/" + long + "\n")}},
		"refs nobody asked":    {push, endless{greeting: old, again: pkts(hash + " refz/" + long + "\n")}},
		"listed refs":          {list, endless{greeting: v2, answerAgain: pkts(hash + " refs/heads/" + long + "\n")}},
		"listed short refs":    {list, endless{greeting: v2, answerAgain: pkts(hash + " refs/a\n")}},
		"listed, nobody asked": {list, endless{greeting: v2, answerAgain: pkts(hash + " refz/" + long + "\n")}},
		"shallow commits":      {fetch, endless{greeting: v2, answer: pkts("shallow-info\n"), answerAgain: pkts("shallow " + hash + "\n")}},
		"sections":             {fetch, endless{greeting: v2, answerAgain: pkts(long+"\n", "0001")}},
		"progress":             {fetch, endless{greeting: v2, answer: pkts("packfile\n"), answerAgain: pkts("\x02" + long)}},
		"an empty pack":        {fetch, endless{greeting: v2, answer: pkts("packfile\n"), answerAgain: pkts("\x01")}},
		"acknowledgements":     {fetch, endless{greeting: old + "0000", answer: "0000", answerAgain: pkts("ACK " + hash + " " + long + "\n")}},
		"reports":              {push, endless{greeting: old + "0000", answerAgain: pkts("\x01" + pkts("ok refs/heads/"+long[:50000]+"\n"))}},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := c.question(c.server); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %v, want %v", err, ErrProtocol)
			}
			runtime.ReadMemStats(&after)
			if held := (after.HeapSys - min(before.HeapSys, after.HeapSys)) >> 20; held > 400 {
				t.Errorf("it held %d MiB", held)
			}
		})
	}
}

// FuzzServer: a server may say what it likes. There is an answer or an error,
// and hashes are hashes.
func FuzzServer(f *testing.F) {
	listed := pkts(hash+" HEAD symref-target:refs/heads/main\n", hash+" refs/heads/main\n", hash+" refs/tags/v1 peeled:"+hash+"\n", "0000")
	old := pkts(hash+" HEAD\x00multi_ack thin-pack side-band side-band-64k ofs-delta shallow no-progress symref=HEAD:refs/heads/main object-format=sha1 agent=git/2.39.5",
		hash+" refs/heads/main\n", hash+" refs/tags/v1\n", hash+" refs/tags/v1^{}\n", "0000")
	receiving := pkts(hash+" refs/heads/main\x00report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=git/2.39.5", "0000")
	empty := pkts(zero+" capabilities^{}\x00report-status delete-refs ofs-delta agent=JGit/4.11", "0000")
	whole := pkts("000eversion 2\n", "agent=git/2.39.5\n", "ls-refs=unborn\n", "fetch=shallow wait-for-done filter\n", "server-option\n", "object-format=sha1\n", "0000")
	for _, seed := range []struct{ greeting, answer string }{
		{v2, listed},
		{whole, listed},
		{v2, pkts("unborn HEAD symref-target:refs/heads/main\n", "0000")},
		{v2, pkts("shallow-info\n", "shallow "+hash+"\n", "unshallow "+hash+"\n", "0001", "packfile\n", "\x02counting\r", "\x01PACK", "0000")},
		{v2, pkts("acknowledgments\n", "ready\n", "0001", "packfile\n", "\x01PACK", "0000")},
		{v2, pkts("ERR upload-pack: not our ref " + hash + "\n")},
		{old, pkts("shallow "+hash, "0000", "NAK\n", "\x01PACK", "0000")},
		{old, pkts("0000", "ACK "+hash+"\n", "ACK "+hash+"\n", "\x01PACK", "\x03gone", "0000")},
		{pkts("version 1\n") + old, pkts("0000", "NAK\n", "\x01PACK", "0000")},
		{empty, pkts("unpack ok\n", "ok refs/heads/main\n", "0000")},
		{receiving, pkts("\x02remote: hello\n", "\x01"+pkts("unpack ok\n", "ok refs/heads/main\n", "0000"), "0000")},
		{receiving, pkts("\x01" + pkts("unpack index-pack abnormal exit\n", "ng refs/heads/main unpacker error\n", "0000"))},
		{receiving, pkts("unpack ok\n", "ng refs/heads/main\x00\n", "0000")},
	} {
		f.Add(seed.greeting, seed.answer)
	}
	f.Fuzz(func(t *testing.T, greeting, answer string) {
		s := said{greeting, answer}
		use(s)
		refs, err := (&Client{Transport: s}).List(t.Context(), "refs/", "HEAD")
		for _, r := range refs {
			if err != nil || r.Hash != "unborn" && !isHash(r.Hash) || r.Peeled != "" && !isHash(r.Peeled) {
				t.Errorf("%+v, %v", r, err)
			}
		}
		result, err := (&Client{Transport: s}).Fetch(t.Context(), FetchRequest{Wants: []string{hash}, Words: &Words{}, Depth: 1})
		if err == nil && slices.ContainsFunc(slices.Concat(result.Shallow, result.Unshallow), func(s string) bool { return !isHash(s) }) {
			t.Errorf("cut at %v, %v", result.Shallow, result.Unshallow)
		}
		pushing, err := (&Client{Transport: s}).Push(t.Context(), func(string) bool { return true }, func(string) bool { return true })
		if err != nil {
			return
		}
		for name := range pushing.Refs() {
			if !isHash(pushing.Ref(name)) || !pushing.Has(pushing.Ref(name)) {
				t.Errorf("%s is at %q", name, pushing.Ref(name))
			}
		}
	})
}

// FuzzPackets: what we write is read as it was written.
func FuzzPackets(f *testing.F) {
	f.Add("version 2\n", "")
	f.Add("want "+hash+"\n", "done\n")
	f.Add(strings.Repeat("x", maxPkt-4), "\x00")
	f.Fuzz(func(t *testing.T, one, two string) {
		if max(len(one), len(two)) > maxPkt-4 || strings.HasPrefix(one, "ERR ") || strings.HasPrefix(two, "ERR ") {
			return
		}
		var b pktBuffer
		b.printf("%s", one)
		b.delim()
		b.printf("%s", two)
		b.flush()
		p := newPktReader(&b)
		for _, want := range []struct {
			kind pktKind
			data string
		}{{pktData, one}, {pktDelim, ""}, {pktData, two}, {pktFlush, ""}} {
			if kind, data, err := p.next(); err != nil || kind != want.kind || string(data) != want.data {
				t.Fatalf("read %d %q, %v, want %+v", kind, data, err, want)
			}
		}
		if _, _, err := p.next(); err != io.EOF {
			t.Errorf("behind the end: %v", err)
		}
	})
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
