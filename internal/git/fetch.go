package git

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

const (
	// wholeHistory is how the protocol asks to undo a cut.
	wholeHistory = 0x7fffffff
	// maxHaves bounds what a request names as known: naming the newest commits
	// is enough to leave out what is here.
	maxHaves = 256
	// maxMemoryPack bounds what a pack for an in-memory repository unpacks to.
	maxMemoryPack = 512 << 20
	// progressEvery is how often a long transfer is heard of.
	progressEvery = 5 * time.Second
)

// Fetch brings ref.Hash and its history into the repository, depth commits
// deep (0: all of it). A ref with a Hash and no Name fetches that commit
// wherever the server lets it be reached. No local branch moves; for a branch
// the remote-tracking ref does.
func (r *Remote) Fetch(ctx context.Context, into *Repository, ref Ref, depth int) error {
	if _, ok := ParseHash(string(ref.Hash)); !ok {
		return fault.Usage("InvalidRevision", fmt.Errorf("fetch %q: %w commit", ref.Hash, ErrInvalid), "")
	}
	err := r.fetch(ctx, into, ref.Hash, depth)
	if errors.Is(err, wire.ErrNotOurRef) {
		err = r.dig(ctx, into, ref.Hash, depth)
	}
	if err != nil {
		return r.explain(fmt.Errorf("fetch %s from %s: %w", shown(ref), r.URL(), err))
	}
	if branch := ref.Branch(); branch != "" {
		return into.SetRef("refs/remotes/origin/"+branch, ref.Hash)
	}
	return nil
}

// shown names a ref in texts.
func shown(ref Ref) string {
	if ref.Name == "" {
		return string(ref.Hash)
	}
	return ref.Name
}

func (r *Remote) fetch(ctx context.Context, into *Repository, want Hash, depth int) error {
	have, err := into.complete(want, depth)
	if err != nil || have {
		return err
	}
	return r.try(ctx, func(ctx context.Context) error { return r.fetchOnce(ctx, into, depth, want) })
}

// FetchTips brings commits that refs of the remote point to into the
// repository, without their history, in one go. When one of the refs has gone
// meanwhile, the server may say ErrMoved.
func (r *Remote) FetchTips(ctx context.Context, into *Repository, tips ...Hash) error {
	var lacking []Hash
	for _, h := range tips {
		if _, ok := ParseHash(string(h)); !ok {
			return fault.Usage("InvalidRevision", fmt.Errorf("fetch %q: %w commit", h, ErrInvalid), "")
		}
		if !into.has(fromHash(h)) {
			lacking = append(lacking, h)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	err := r.try(ctx, func(ctx context.Context) error { return r.fetchOnce(ctx, into, 1, lacking...) })
	if errors.Is(err, wire.ErrNotOurRef) {
		err = fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if err != nil {
		return r.explain(fmt.Errorf("fetch %d tips from %s: %w", len(lacking), r.URL(), err))
	}
	return nil
}

// Since gives what tip's history has and since's has not, newest first along
// first parents, as far back as most commits. since need not be here. ErrMoved
// when tip is no ref's any more and the server says so. Of a commit since itself, that is
// nothing.
func (r *Remote) Since(ctx context.Context, since, tip Hash, most int) ([]CommitInfo, error) {
	if since == tip {
		return nil, nil
	}
	scratch := NewMemory()
	scratch.pretend = []string{string(since)}
	err := r.try(ctx, func(ctx context.Context) error { return r.fetchOnce(ctx, scratch, most, tip) })
	if errors.Is(err, wire.ErrNotOurRef) {
		err = fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if err != nil {
		return nil, r.explain(fmt.Errorf("fetch the commits since %s from %s: %w", since.Short(), r.URL(), err))
	}
	var list []CommitInfo
	err = scratch.Log(tip, func(c CommitInfo) bool {
		if c.Hash != since {
			list = append(list, c)
		}
		return c.Hash != since && len(list) < most
	})
	return list, err
}

func (r *Remote) fetchOnce(ctx context.Context, into *Repository, depth int, wants ...Hash) error {
	shallow, err := into.store.Shallow()
	if err != nil {
		return err
	}
	haves, err := into.haves()
	if err != nil {
		return err
	}
	if depth == 0 && len(shallow) > 0 {
		depth = wholeHistory
	}
	words := &wire.Words{}
	answer, err := r.client.Fetch(ctx, wire.FetchRequest{
		Wants: texts(wants), Haves: haves, Shallow: hexes(shallow), Depth: depth, Words: words,
	})
	if err != nil {
		return err
	}
	err = into.takePack(answer.Pack)
	if closed := answer.Pack.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("receive objects: %w", err)
	}
	for _, want := range wants {
		if !into.has(fromHash(want)) {
			return fmt.Errorf("%w: the server sent a pack without %s", wire.ErrProtocol, want)
		}
		into.fetched = append(into.fetched, fromHash(want))
	}
	return into.cut(shallow, answer)
}

// dig finds a commit that the server hands out only as part of a ref's
// history: old servers (protocol version 0) take only refs' tips as wishes.
func (r *Remote) dig(ctx context.Context, into *Repository, want Hash, depth int) error {
	const mostRefs = 1000
	heads, err := r.Refs(ctx, "refs/heads/")
	if err != nil {
		return err
	}
	tags, err := r.Refs(ctx, "refs/tags/")
	if err != nil {
		return err
	}
	refs := append(heads, tags...)
	for _, deep := range []int{max(depth, 50), 1000, 0} {
		for _, ref := range refs[:min(len(refs), mostRefs)] {
			if err := r.fetch(ctx, into, ref.Hash, deep); err != nil {
				return err
			}
			if into.has(fromHash(want)) {
				slog.DebugContext(ctx, "found commit in a ref's history", "commit", want, "ref", ref.Name)
				return nil
			}
		}
	}
	return fault.Refused("RevisionNotFound", fmt.Errorf("no branch or tag contains it: %w", ErrNotFound),
		"Check the commit. A commit that only a pull request holds needs its ref, such as refs/pull/1/head.")
}

// complete reports whether nothing needs to be fetched: the commit is here
// with as much history as asked for.
func (r *Repository) complete(want Hash, depth int) (bool, error) {
	if !r.has(fromHash(want)) {
		return false, nil
	}
	shallow, err := r.store.Shallow()
	if err != nil {
		return false, err
	}
	level := []plumbing.Hash{fromHash(want)}
	seen := map[plumbing.Hash]bool{}
	for n := 1; len(level) > 0 && (depth == 0 || n <= depth); n++ {
		var next []plumbing.Hash
		for _, h := range level {
			if seen[h] {
				continue
			}
			seen[h] = true
			c, err := r.commit(toHash(h))
			if err != nil {
				return r.notCommit(h, err)
			}
			if slices.Contains(shallow, h) && n != depth {
				return false, nil
			}
			next = append(next, c.ParentHashes...)
		}
		level = next
	}
	return true, nil
}

// notCommit: an annotated tag or a blob that is here is complete as it is; a
// missing parent is not.
func (r *Repository) notCommit(h plumbing.Hash, err error) (bool, error) {
	if r.has(h) || errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return false, err
}

// haves names commits that the other side need not send again.
func (r *Repository) haves() ([]string, error) {
	refs, err := r.knownHashes()
	if err != nil {
		return nil, err
	}
	known := append(slices.Clone(r.fetched), refs...)
	slices.Reverse(known)
	all := slices.Clone(r.pretend)
	for _, h := range known {
		if !slices.Contains(all, h.String()) && r.has(h) {
			all = append(all, h.String())
		}
		if len(all) == maxHaves {
			break
		}
	}
	return all, nil
}

// takePack stores a pack, checking its checksum and every object's name.
func (r *Repository) takePack(pack io.Reader) error {
	source := &watched{r: pack}
	err := r.storePack(bufio.NewReaderSize(source, 16<<10))
	if source.err != nil {
		// Why the stream ended says more than what the parser makes of it.
		return source.err
	}
	return err
}

// watched remembers why a stream ended, if not at its end, and tells how far a
// long one is.
type watched struct {
	r     io.Reader
	err   error
	bytes int64
	told  time.Time
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.bytes += int64(n)
	if now := time.Now(); w.told.IsZero() {
		w.told = now
	} else if now.Sub(w.told) > progressEvery {
		w.told = now
		slog.Info("receiving objects", "megabytes", w.bytes>>20)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

func (r *Repository) storePack(in *bufio.Reader) error {
	head, err := in.Peek(12)
	if err != nil {
		return lost(err)
	}
	if _, inMemory := r.store.(*memory.Storage); inMemory || binary.BigEndian.Uint32(head[8:]) == 0 {
		return r.parsePack(in)
	}
	return r.writePack(in)
}

// parsePack takes a pack into memory: first as it is, and then its objects.
func (r *Repository) parsePack(in *bufio.Reader) error {
	var pack bytes.Buffer
	if err := passPack(in, &pack, inMemory); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(pack.Bytes()[8:]) == 0 {
		return nil // go-git takes it for damaged
	}
	p, err := packfile.NewParserWithStorage(packfile.NewScanner(bytes.NewReader(pack.Bytes())), r.store)
	if err != nil {
		return err
	}
	if _, err := p.Parse(); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrProtocol, err)
	}
	return nil
}

// writePack streams the pack to disk while its index is built. What is left of
// one that was cut is taken away by the store.
func (r *Repository) writePack(in *bufio.Reader) error {
	store, ok := r.store.(storer.PackfileWriter)
	if !ok {
		return errors.New("this store takes no packs")
	}
	w, err := store.PackfileWriter()
	if err != nil {
		return writable(err, r.gitDir)
	}
	passed := passPack(in, w, onDisk)
	closed := w.Close()
	if passed != nil {
		return writable(passed, r.gitDir)
	}
	return writable(closed, r.gitDir)
}

// lost makes an end in the middle of a pack recognisable as a lost
// connection, which is worth another attempt.
func lost(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cut records where the history that is here ends.
func (r *Repository) cut(before []plumbing.Hash, answer *wire.FetchResult) error {
	if len(answer.Shallow)+len(answer.Unshallow) == 0 {
		return nil
	}
	after := slices.DeleteFunc(slices.Clone(before), func(h plumbing.Hash) bool {
		return slices.Contains(answer.Unshallow, h.String())
	})
	for _, h := range answer.Shallow {
		if h := plumbing.NewHash(h); !slices.Contains(after, h) {
			after = append(after, h)
		}
	}
	return r.store.SetShallow(after)
}

func texts(hashes []Hash) []string {
	all := make([]string, len(hashes))
	for i, h := range hashes {
		all[i] = string(h)
	}
	return all
}

func hexes(hashes []plumbing.Hash) []string {
	all := make([]string, len(hashes))
	for i, h := range hashes {
		all[i] = strings.ToLower(h.String())
	}
	return all
}
