package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
)

// maxPkt is the longest pkt-line, with its four digits of length
// (gitprotocol-common).
const maxPkt = 65520

// ErrProtocol: the server said something that the protocol does not allow.
var ErrProtocol = errors.New("protocol error")

// pktKind tells data from the special packets.
type pktKind int

const (
	pktFlush       pktKind = 0
	pktDelim       pktKind = 1
	pktResponseEnd pktKind = 2
	pktData        pktKind = 4
)

const (
	// readAtOnce is for the heads and short packets: a long one is read past it.
	readAtOnce = 8 << 10
	// maxText bounds what a server may say before, or instead of, a pack: refs
	// that nobody asked for pass by, a million of them in a third of it.
	maxText = 256 << 20
	// maxKept bounds what of it is kept: refs, capabilities, a report.
	maxKept = 64 << 20
)

// pktReader reads pkt-lines. The returned bytes are valid until the next read.
type pktReader struct {
	r    *bufio.Reader
	buf  []byte
	text int64 // bytes of packets so far, but for those of a pack
	kept int
}

func newPktReader(r io.Reader) *pktReader {
	if br, ok := r.(*bufio.Reader); ok {
		return &pktReader{r: br}
	}
	return &pktReader{r: bufio.NewReaderSize(r, readAtOnce)}
}

// next reads one packet. io.EOF between packets; a packet that ends early is
// io.ErrUnexpectedEOF, which callers may take as a lost connection.
func (p *pktReader) next() (pktKind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: packet length %q", ErrProtocol, head[:])
	}
	switch {
	case n <= uint64(pktResponseEnd):
		return pktKind(n), nil, nil
	case n < 4 || n > maxPkt:
		return 0, nil, fmt.Errorf("%w: packet length %d", ErrProtocol, n)
	}
	if int(n) > cap(p.buf) {
		p.buf = slices.Grow(p.buf[:0], int(n)) // most answers have only short packets
	}
	if p.text += int64(n); p.text > maxText {
		return 0, nil, fmt.Errorf("%w: the answer has no end", ErrProtocol)
	}
	data := p.buf[: n-4 : n-4]
	if _, err := io.ReadFull(p.r, data); err != nil {
		return 0, nil, noEOF(err)
	}
	if msg, ok := bytes.CutPrefix(data, []byte("ERR ")); ok {
		return 0, nil, &RemoteError{Message: clean(msg)}
	}
	return pktData, data, nil
}

// line is next for packets that hold text, without the newline.
func (p *pktReader) line() (pktKind, string, error) {
	kind, data, err := p.next()
	return kind, string(bytes.TrimSuffix(data, []byte("\n"))), err
}

// keep allows for so many bytes to be kept of what was read.
func (p *pktReader) keep(bytes int) error {
	if p.kept += bytes; p.kept > maxKept {
		return fmt.Errorf("%w: the server says more than %d MiB", ErrProtocol, maxKept>>20)
	}
	return nil
}

// noEOF: an end in the middle is never a proper end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pktBuffer builds a request.
type pktBuffer struct{ bytes.Buffer }

func (b *pktBuffer) printf(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	fmt.Fprintf(&b.Buffer, "%04x%s", len(s)+4, s)
}
func (b *pktBuffer) flush() { b.WriteString("0000") }
func (b *pktBuffer) delim() { b.WriteString("0001") }

// maxWords bounds what is kept of a server's messages.
const maxWords = 4096

// clean turns a server's bytes into text that may be shown: printable, one
// form of line end, bounded.
func clean(b []byte) string {
	if len(b) > maxWords {
		b = b[:maxWords]
	}
	b = bytes.ReplaceAll(bytes.ToValidUTF8(b, []byte("?")), []byte("\r"), []byte("\n"))
	b = bytes.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) {
			return -1
		}
		return r
	}, b)
	return string(bytes.TrimSpace(b))
}

// demux reads the pack (band 1) out of a side-band stream; what the server
// says on band 2 goes to words, and band 3 ends the stream with its error.
type demux struct {
	p     *pktReader
	words *Words
	left  []byte
	done  bool
}

func (d *demux) Read(b []byte) (int, error) {
	for len(d.left) == 0 {
		if d.done {
			return 0, io.EOF
		}
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, d.left)
	d.left = d.left[n:]
	return n, nil
}

func (d *demux) fill() error {
	kind, data, err := d.p.next()
	if err != nil {
		return noEOF(err)
	}
	if kind != pktData {
		d.done = true
		return nil
	}
	if len(data) == 0 {
		return fmt.Errorf("%w: empty side-band packet", ErrProtocol)
	}
	switch band, data := data[0], data[1:]; band {
	case 1:
		if d.left = data; len(data) > 0 {
			d.p.text = 0
		}
	case 2:
		d.words.Write(data)
	case 3:
		return &RemoteError{Message: clean(data)}
	default:
		return fmt.Errorf("%w: side-band %d", ErrProtocol, band)
	}
	return nil
}

// Words keeps the first few kilobytes of what a server says beside its data,
// such as the output of a hook. What a program prints is copied by a goroutine
// of its own, so Words may be read while it is written.
type Words struct {
	mu  sync.Mutex
	buf []byte
}

func (w *Words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if room := maxWords - len(w.buf); room > 0 {
		w.buf = append(w.buf, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

func (w *Words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return clean(w.buf)
}
