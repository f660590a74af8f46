package git

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// delta is a delta that is read, without what it is to: the lengths before and
// after, then commands that copy from what was before or insert what follows
// them (gitformat-pack).
type delta struct {
	in     *bufio.Reader
	before uint64
	left   int64 // to be made
}

// lengths reads the lengths before and after.
func (d *delta) lengths() (err error) {
	if d.before, err = d.number(); err != nil {
		return err
	}
	after, err := d.number()
	d.left = int64(after)
	return err
}

// number reads seven bits a byte, the low ones first.
func (d *delta) number() (n uint64, err error) {
	for shift := 0; shift < 63; shift += 7 {
		b, err := d.in.ReadByte()
		if err != nil {
			return 0, tooEarly(err)
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: a delta's length has no end", wire.ErrProtocol)
}

// commands reads to the end. What is made must have the length that was said.
func (d *delta) commands() error {
	for {
		c, err := d.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && d.left == 0:
			return nil
		case err != nil:
			return tooEarly(err)
		case c == 0:
			return fmt.Errorf("%w: a delta's command that does not exist", wire.ErrProtocol)
		case c < 0x80:
			err = d.insert(int(c))
		default:
			err = d.copy(c)
		}
		if err != nil {
			return err
		}
		if d.left < 0 {
			return fmt.Errorf("%w: a delta makes more than it says", wire.ErrProtocol)
		}
	}
}

func (d *delta) insert(bytes int) error {
	d.left -= int64(bytes)
	_, err := d.in.Discard(bytes)
	return tooEarly(err)
}

// copy reads where from and how much: of seven bytes those that the command's
// low bits name.
func (d *delta) copy(command byte) error {
	var numbers [7]uint64
	for bit := range numbers {
		if command&(1<<bit) == 0 {
			continue
		}
		b, err := d.in.ReadByte()
		if err != nil {
			return tooEarly(err)
		}
		numbers[bit] = uint64(b)
	}
	from := numbers[0] | numbers[1]<<8 | numbers[2]<<16 | numbers[3]<<24
	bytes := numbers[4] | numbers[5]<<8 | numbers[6]<<16
	if bytes == 0 {
		bytes = 0x10000
	}
	if from+bytes > d.before {
		return fmt.Errorf("%w: a delta copies what is not there", wire.ErrProtocol)
	}
	d.left -= int64(bytes)
	return nil
}

// tooEarly: where a command should be, or go on, the end is an error.
func tooEarly(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: a delta ends too early", wire.ErrProtocol)
	}
	return err
}
