package gittest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// takes is what a push may use here.
const takes = "report-status delete-refs side-band-64k atomic ofs-delta object-format=sha1 agent=git/in-process"

// advertise is the greeting to a push (gitprotocol-pack).
func (r *repository) advertise(out packets) error {
	refs, _, err := r.refs()
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(refs))
	if len(names) == 0 {
		names, refs = []string{"capabilities^{}"}, map[string]plumbing.Hash{"capabilities^{}": plumbing.ZeroHash}
	}
	for i, name := range names {
		line := refs[name].String() + " " + name
		if i == 0 {
			line += "\x00" + takes
		}
		out.line("%s\n", line)
	}
	out.flush()
	return nil
}

// command moves a ref.
type command struct {
	ref      plumbing.ReferenceName
	old, new plumbing.Hash
}

// receive takes a push, compares each ref with what the client saw, and reports.
func (r *repository) receive(out packets, in io.Reader) error {
	lines, err := words(in)
	if err != nil || len(lines) == 0 {
		return fmt.Errorf("read commands: %w", err)
	}
	first, capabilities, _ := strings.Cut(lines[0], "\x00")
	lines[0] = first
	var commands []command
	objects := false
	for _, line := range lines {
		part := strings.Split(line, " ")
		if len(part) != 3 {
			return fmt.Errorf("no command: %q", line)
		}
		c := command{plumbing.ReferenceName(part[2]), plumbing.NewHash(part[0]), plumbing.NewHash(part[1])}
		commands, objects = append(commands, c), objects || !c.new.IsZero()
	}
	if objects {
		if err := r.unpack(in); err != nil {
			return err
		}
	}
	report := packets{&bytes.Buffer{}}
	if err := r.report(report, commands, strings.Contains(capabilities, "atomic")); err != nil {
		return err
	}
	out.inBand(report.Bytes())
	return nil
}

// unpack stores what comes with a push, which may be an empty pack.
func (r *repository) unpack(in io.Reader) error {
	pack, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if len(pack) >= 12 && bytes.Equal(pack[8:12], make([]byte, 4)) {
		return nil // go-git takes a pack without objects for damaged
	}
	return packfile.UpdateObjectStorage(r, bytes.NewReader(pack))
}

func (r *repository) report(out packets, commands []command, atomic bool) error {
	out.line("unpack ok\n")
	refs, _, err := r.refs()
	if err != nil {
		return err
	}
	stale := func(c command) bool { return refs[c.ref.String()] != c.old }
	none := atomic && slices.ContainsFunc(commands, stale)
	for _, c := range commands {
		switch {
		case stale(c):
			out.line("ng %s failed to update ref\n", c.ref)
			continue
		case none:
			out.line("ng %s atomic push failure\n", c.ref)
			continue
		}
		if err := r.move(c); err != nil {
			return err
		}
		out.line("ok %s\n", c.ref)
	}
	out.flush()
	return nil
}

func (r *repository) move(c command) error {
	if c.new.IsZero() {
		return r.RemoveReference(c.ref)
	}
	if err := r.HasEncodedObject(c.new); err != nil {
		return fmt.Errorf("%s to %s: %w", c.ref, c.new, err)
	}
	return r.SetReference(plumbing.NewHashReference(c.ref, c.new))
}
