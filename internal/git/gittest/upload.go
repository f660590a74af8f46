package gittest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// upload answers one command of version 2 (gitprotocol-v2).
func (r *repository) upload(out packets, in io.Reader) error {
	lines, err := words(in)
	if err != nil || len(lines) == 0 {
		return fmt.Errorf("read a command: %w", err)
	}
	arguments := lines[slices.Index(lines, "")+1:]
	switch lines[0] {
	case "command=ls-refs":
		return r.list(out, arguments)
	case "command=fetch":
		return r.fetch(out, arguments)
	}
	return fmt.Errorf("no command %q", lines[0])
}

// list answers ls-refs; peel and symrefs are taken as given.
func (r *repository) list(out packets, arguments []string) error {
	refs, head, err := r.refs()
	if err != nil {
		return err
	}
	wanted := func(name string) bool {
		prefixes := 0
		for _, a := range arguments {
			if prefix, ok := strings.CutPrefix(a, "ref-prefix "); ok {
				if prefixes++; strings.HasPrefix(name, prefix) {
					return true
				}
			}
		}
		return prefixes == 0
	}
	if at, born := refs[head]; born && wanted("HEAD") {
		out.line("%s HEAD symref-target:%s\n", at, head)
	}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if !wanted(name) {
			continue
		}
		line := refs[name].String() + " " + name
		if peeled := r.peeled(refs[name]); peeled != refs[name] {
			line += " peeled:" + peeled.String()
		}
		out.line("%s\n", line)
	}
	out.flush()
	return nil
}

// peeled is what is behind annotated tags.
func (r *repository) peeled(h plumbing.Hash) plumbing.Hash {
	for {
		tag, err := object.GetTag(r, h)
		if err != nil {
			return h
		}
		h = tag.Target
	}
}

// want is what a fetch asks for.
type want struct {
	tips, haves []plumbing.Hash
	shallow     map[plumbing.Hash]bool // that the client has without parents
	depth       int                    // 0: all
}

func (r *repository) want(arguments []string) (want, error) {
	w := want{shallow: map[plumbing.Hash]bool{}}
	for _, a := range arguments {
		key, value, _ := strings.Cut(a, " ")
		switch h := plumbing.NewHash(value); key {
		case "want":
			if r.HasEncodedObject(h) != nil {
				return w, fmt.Errorf("upload-pack: not our ref %s", value)
			}
			w.tips = append(w.tips, h)
		case "have":
			if r.HasEncodedObject(h) == nil {
				w.haves = append(w.haves, h)
			}
		case "shallow":
			w.shallow[h] = true
		case "deepen":
			var err error
			if w.depth, err = strconv.Atoi(value); err != nil {
				return w, err
			}
		case "done", "ofs-delta", "no-progress", "thin-pack", "include-tag":
		default:
			return w, fmt.Errorf("no argument %q", a)
		}
	}
	return w, nil
}

// fetch answers a fetch that is done, without negotiation.
func (r *repository) fetch(out packets, arguments []string) error {
	w, err := r.want(arguments)
	if err != nil {
		out.line("ERR %v\n", err)
		return nil
	}
	there, _, err := r.walk(w.haves, 0, w.shallow)
	if err != nil {
		return err
	}
	cut := map[plumbing.Hash]bool{}
	if w.depth == 0 {
		cut = w.shallow
	}
	commits, edge, err := r.walk(w.tips, w.depth, cut)
	if err != nil {
		return err
	}
	if w.depth > 0 {
		shallowInfo(out, w, commits, edge)
	}
	pack, err := r.pack(w.tips, commits, there)
	if err != nil {
		return err
	}
	out.line("packfile\n")
	out.inBand(pack)
	return nil
}

// shallowInfo says where the history that is sent ends, and where it ends no more.
func shallowInfo(out packets, w want, commits, edge map[plumbing.Hash]bool) {
	out.line("shallow-info\n")
	for h := range edge {
		if !w.shallow[h] {
			out.line("shallow %s\n", h)
		}
	}
	for h := range w.shallow {
		if commits[h] && !edge[h] {
			out.line("unshallow %s\n", h)
		}
	}
	out.delimiter()
}

// walk collects commits from tips so many deep (0: all); cut are those whose parents
// do not count. edge are those at which the depth ends a history that goes on.
func (r *repository) walk(tips []plumbing.Hash, depth int, cut map[plumbing.Hash]bool) (commits, edge map[plumbing.Hash]bool, err error) {
	commits, edge = map[plumbing.Hash]bool{}, map[plumbing.Hash]bool{}
	var level []plumbing.Hash
	for _, h := range tips {
		level = append(level, r.peeled(h))
	}
	for n := 1; len(level) > 0; n++ {
		var next []plumbing.Hash
		for _, h := range level {
			if commits[h] {
				continue
			}
			c, err := object.GetCommit(r, h)
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				continue // a tree or a blob, which a tag may name
			}
			if err != nil {
				return nil, nil, err
			}
			switch commits[h] = true; {
			case cut[h]:
			case n == depth && len(c.ParentHashes) > 0:
				edge[h] = true
			default:
				next = append(next, c.ParentHashes...)
			}
		}
		level = next
	}
	return commits, edge, nil
}

// pack holds the tags at the tips and the commits with all that is below them, but for
// what the commits that are there have.
func (r *repository) pack(tips []plumbing.Hash, commits, there map[plumbing.Hash]bool) ([]byte, error) {
	known := map[plumbing.Hash]bool{}
	for h := range there {
		if err := r.collect(h, known, nil); err != nil {
			return nil, err
		}
	}
	var list []plumbing.Hash
	add := func(h plumbing.Hash) { list = append(list, h) }
	for _, h := range tips {
		for tag, err := object.GetTag(r, h); err == nil; tag, err = object.GetTag(r, h) {
			add(h)
			h = tag.Target
		}
		if !commits[h] {
			if err := r.collect(h, known, add); err != nil {
				return nil, err
			}
		}
	}
	for h := range commits {
		if err := r.collect(h, known, add); err != nil {
			return nil, err
		}
	}
	var pack bytes.Buffer
	_, err := packfile.NewEncoder(&pack, r, false).Encode(list, 0)
	return pack.Bytes(), err
}

// collect adds a commit, a tree or a blob and all that is below it, not the parents.
func (r *repository) collect(h plumbing.Hash, known map[plumbing.Hash]bool, add func(plumbing.Hash)) error {
	if known[h] {
		return nil
	}
	known[h] = true
	if add != nil {
		add(h)
	}
	if c, err := object.GetCommit(r, h); err == nil {
		return r.collect(c.TreeHash, known, add)
	}
	tree, err := object.GetTree(r, h)
	if err != nil {
		return nil // a blob
	}
	for _, e := range tree.Entries {
		if e.Mode == filemode.Submodule {
			continue // lives elsewhere
		}
		if err := r.collect(e.Hash, known, add); err != nil {
			return err
		}
	}
	return nil
}
