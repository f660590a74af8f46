package wire

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
)

// Command moves one ref from Old to New, as the server sees it.
type Command struct{ Ref, Old, New string }

// zero is the hash that stands for "no object".
const zero = "0000000000000000000000000000000000000000"

// Pushing is an open conversation with receive-pack: the refs as the server
// sees them now, and one chance to move them.
type Pushing struct {
	session Session
	caps    *greeting
	refs    map[string]string
	others  map[string]bool
}

// Push opens the conversation. Of the server's refs those that are wanted by
// name are kept, and the objects of others when known says that they are here
// too (they need not be sent).
func (c *Client) Push(ctx context.Context, wanted, known func(string) bool) (*Pushing, error) {
	s, err := c.Transport.Open(ctx, ReceivePack, 0)
	if err != nil {
		return nil, err
	}
	p := &Pushing{session: s, refs: map[string]string{}, others: map[string]bool{}}
	p.caps, err = readGreeting(s.Greeting(), func(r Ref) bool {
		if wanted(r.Name) {
			p.refs[r.Name] = r.Hash
		}
		if known(r.Hash) {
			p.others[r.Hash] = true
		}
		return wanted(r.Name) // so that it counts as kept
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	p.caps.refs = nil
	c.mu.Lock()
	c.push = p.caps
	c.mu.Unlock()
	return p, nil
}

// PushKnown opens the conversation for refs whose hashes the caller is sure of:
// where the server's capabilities are known, nobody needs to ask it.
func (c *Client) PushKnown(ctx context.Context, refs map[string]string) (*Pushing, error) {
	c.mu.Lock()
	caps := c.push
	c.mu.Unlock()
	if caps != nil {
		if s := c.Transport.Resume(ctx, ReceivePack, 0); s != nil {
			return &Pushing{session: s, caps: caps, refs: refs}, nil
		}
	}
	named := func(name string) bool { _, ok := refs[name]; return ok }
	return c.Push(ctx, named, func(string) bool { return false })
}

// Ref is where the server has a ref that was wanted: its hash or 40 zeros.
func (p *Pushing) Ref(name string) string { return cmp.Or(p.refs[name], zero) }

// Refs are those that were wanted and are there, by name.
func (p *Pushing) Refs() map[string]string { return p.refs }

// Atomic reports whether the server makes several commands all or none.
func (p *Pushing) Atomic() bool { return p.caps.has("atomic") }

// Has reports whether some ref of the server points to an object that is here.
func (p *Pushing) Has(hash string) bool { return p.others[hash] }

// Close ends the conversation.
func (p *Pushing) Close() error { return p.session.Close() }

// Report is the server's answer to a push.
type Report struct {
	Unpack string            // "ok" or why the pack was not taken
	Refs   map[string]string // per ref "" (moved) or why not
	Words  string            // what hooks printed
}

// Send sends the commands and the pack and waits for the report. An error
// after the first byte leaves open whether the refs moved: read them again.
func (p *Pushing) Send(ctx context.Context, commands []Command, pack []byte) (*Report, error) {
	if !p.caps.has("report-status") {
		return nil, fmt.Errorf("%w: the server does not report what became of a push", ErrProtocol)
	}
	caps := []string{"report-status", "agent=" + agent}
	for _, c := range []string{"side-band-64k", "ofs-delta"} {
		if p.caps.has(c) {
			caps = append(caps, c)
		}
	}
	if len(commands) > 1 && p.caps.has("atomic") {
		caps = append(caps, "atomic")
	}
	var b pktBuffer
	for i, c := range commands {
		if c.New == zero && !p.caps.has("delete-refs") {
			return nil, &RemoteError{Message: "refs cannot be deleted here"}
		}
		line := c.Old + " " + c.New + " " + c.Ref
		if i == 0 {
			line += "\x00 " + strings.Join(caps, " ")
		}
		b.printf("%s", line)
	}
	b.flush()
	b.Write(pack)
	answer, err := p.session.Exchange(ctx, b.Bytes())
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	return readReport(answer, p.caps.has("side-band-64k"))
}

func readReport(answer io.Reader, sideband bool) (*Report, error) {
	words := &Words{}
	report := &Report{Refs: map[string]string{}}
	if sideband {
		answer = &demux{p: newPktReader(answer), words: words}
	}
	err := report.read(newPktReader(answer))
	report.Words = words.String()
	return report, err
}

// read reads "unpack ok", then "ok <ref>" or "ng <ref> <reason>".
func (r *Report) read(p *pktReader) error {
	for {
		kind, data, err := p.next()
		if err != nil {
			return fmt.Errorf("read the report: %w", noEOF(err))
		}
		if kind != pktData {
			return nil
		}
		if err := p.keep(perRef + len(data)); err != nil {
			return err
		}
		verb, rest, _ := strings.Cut(string(trimNUL(data)), " ")
		ref, why, _ := strings.Cut(rest, " ")
		switch verb {
		case "unpack":
			r.Unpack = clean([]byte(rest))
		case "ok":
			r.Refs[ref] = ""
		case "ng":
			r.Refs[ref] = cmp.Or(clean([]byte(why)), "refused")
		default:
			return fmt.Errorf("%w: report line %q", ErrProtocol, clean(data))
		}
	}
}

// trimNUL: some servers end status lines with a NUL.
func trimNUL(b []byte) []byte { return bytes.TrimRight(b, "\x00\n") }
