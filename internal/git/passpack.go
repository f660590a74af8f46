package git

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// limits bound what a pack may unpack to, in bytes.
type limits struct {
	object int64 // an object that is stored whole
	delta  int64 // an object that is stored as a delta: it is put together in memory
	total  int64 // all objects
}

var (
	inMemory = limits{object: maxMemoryPack, delta: maxMemoryPack, total: maxMemoryPack}
	// Git makes no delta of a file above 512 MiB (core.bigFileThreshold). How much
	// a whole history unpacks to has no bound, as the disk holds it packed.
	onDisk = limits{object: 1 << 40, delta: 512 << 20, total: 1 << 62}
)

// perObject is what an object costs beside its content.
const perObject = 256

// errTooLarge: a pack, or an object in it, unpacks to more than is taken.
var errTooLarge = errors.New("the pack unpacks to too much")

// passPack copies a pack and looks on the way at what whoever unpacks it relies
// on: that each object has the length that it claims, that deltas make what they
// say, no larger than most allows, and the checksum. A claim alone makes go-git
// reserve a gigabyte, and a delta that is cut short goes into its store; so the
// checksum, without which it does not begin to put deltas together, is passed on
// last, when everything else was found right. What deltas are to, and which names
// objects have, it does not look at.
//
// The format is that of gitformat-pack. Errors are wire.ErrProtocol, errTooLarge,
// io.ErrUnexpectedEOF where the pack ends too early, and those of out.
func passPack(in *bufio.Reader, out io.Writer, most limits) error {
	p := &passing{in: in, out: out, sum: sha1.New(), most: most}
	var head [12]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return lost(err)
	}
	if string(head[:4]) != "PACK" || binary.BigEndian.Uint32(head[4:]) != 2 {
		return fmt.Errorf("%w: no pack of version 2", wire.ErrProtocol)
	}
	for range binary.BigEndian.Uint32(head[8:]) {
		if err := p.object(); err != nil {
			return lost(err)
		}
	}
	return lost(p.end())
}

// passing reads a pack, and passes on and sums up what it read.
type passing struct {
	in   *bufio.Reader
	out  io.Writer
	sum  hash.Hash
	kept bytes.Buffer // read and not yet passed on
	zlib io.ReadCloser
	text bufio.Reader // of a delta
	most limits
	used int64
}

const passAtOnce = 32 << 10

// ReadByte is there so that a decompressor takes no byte behind its stream.
func (p *passing) ReadByte() (byte, error) {
	b, err := p.in.ReadByte()
	if err != nil {
		return 0, err
	}
	p.kept.WriteByte(b)
	return b, p.flush(passAtOnce)
}

func (p *passing) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	p.kept.Write(b[:n])
	if flushed := p.flush(passAtOnce); flushed != nil {
		return n, flushed
	}
	return n, err
}

// flush passes on what was kept when it is at least so much.
func (p *passing) flush(least int) error {
	if p.kept.Len() < least {
		return nil
	}
	p.sum.Write(p.kept.Bytes())
	_, err := p.out.Write(p.kept.Bytes())
	p.kept.Reset()
	return err
}

// object passes one object: its type and length, what it is a delta to, and its
// compressed content.
func (p *passing) object() error {
	kind, length, err := p.head()
	if err != nil {
		return err
	}
	if err := p.base(kind); err != nil {
		return err
	}
	isDelta := kind == plumbing.OFSDeltaObject || kind == plumbing.REFDeltaObject
	if err := p.charge(length, isDelta); err != nil {
		return err
	}
	content, err := p.inflate(length)
	if err != nil || !isDelta {
		return p.drain(content, err)
	}
	p.text.Reset(content)
	made := &delta{in: &p.text}
	if err := made.lengths(); err != nil {
		return err
	}
	if err := p.charge(made.left, true); err != nil {
		return err
	}
	return p.drain(content, made.commands())
}

// head reads an object's type and length.
func (p *passing) head() (kind plumbing.ObjectType, length int64, err error) {
	b, err := p.ReadByte()
	kind, length = plumbing.ObjectType(b>>4&7), int64(b&15)
	for shift := 4; err == nil && b&0x80 != 0; shift += 7 {
		if shift > 53 {
			return 0, 0, fmt.Errorf("%w: the length of an object has no end", wire.ErrProtocol)
		}
		b, err = p.ReadByte()
		length |= int64(b&0x7f) << shift
	}
	if err == nil && (kind == plumbing.InvalidObject || kind == 5) {
		err = fmt.Errorf("%w: an object of type %d", wire.ErrProtocol, kind)
	}
	return kind, length, err
}

// base reads what a delta is a delta to.
func (p *passing) base(kind plumbing.ObjectType) error {
	switch kind {
	case plumbing.REFDeltaObject:
		_, err := io.ReadFull(p, make([]byte, sha1.Size))
		return err
	case plumbing.OFSDeltaObject:
		for range 10 {
			if b, err := p.ReadByte(); err != nil || b&0x80 == 0 {
				return err
			}
		}
		return fmt.Errorf("%w: an offset has no end", wire.ErrProtocol)
	}
	return nil
}

// charge takes so many bytes from what the pack may unpack to.
func (p *passing) charge(bytes int64, isDelta bool) error {
	most := p.most.object
	if isDelta {
		most = p.most.delta
	}
	p.used += perObject + min(bytes, p.most.total)
	if bytes > most || p.used > p.most.total {
		return fmt.Errorf("%w: more than %d MiB", errTooLarge, min(most, p.most.total)>>20)
	}
	return nil
}

// inflate opens the compressed stream that comes next, which must hold exactly
// so many bytes.
func (p *passing) inflate(length int64) (*content, error) {
	if err := p.rewind(); err != nil {
		return nil, noZlib(err)
	}
	return &content{zlib: p.zlib, left: length}, nil
}

// drain reads what is left of a content, unless there was an error.
func (p *passing) drain(c *content, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// rewind makes the decompressor ready for the next stream.
func (p *passing) rewind() (err error) {
	if r, ok := p.zlib.(zlib.Resetter); ok {
		return r.Reset(p, nil)
	}
	p.zlib, err = zlib.NewReader(p)
	return err
}

// content is what an object unpacks to. It ends with io.EOF only where it has
// the length that was claimed.
type content struct {
	zlib io.Reader
	left int64
}

func (c *content) Read(b []byte) (int, error) {
	n, err := c.zlib.Read(b)
	c.left -= int64(n)
	if ended := errors.Is(err, io.EOF); c.left < 0 || ended && c.left > 0 {
		return n, fmt.Errorf("%w: an object is not as long as it claims", wire.ErrProtocol)
	}
	return n, noZlib(err)
}

// noZlib: bytes that are no compressed stream are not what the protocol allows.
func noZlib(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) {
		return fmt.Errorf("%w: %w", wire.ErrProtocol, err)
	}
	return err
}

// end passes the checksum on, behind which nothing may be.
func (p *passing) end() error {
	if err := p.flush(1); err != nil {
		return err
	}
	sum := make([]byte, sha1.Size)
	if _, err := io.ReadFull(p.in, sum); err != nil {
		return err
	}
	if !bytes.Equal(sum, p.sum.Sum(nil)) {
		return fmt.Errorf("%w: the pack is damaged: its checksum is another", wire.ErrProtocol)
	}
	if _, err := p.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%w: something follows the pack", wire.ErrProtocol)
		}
		return err
	}
	_, err := p.out.Write(sum)
	return err
}
