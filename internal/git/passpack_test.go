package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// stored is an object as a pack holds it.
type stored struct {
	kind    plumbing.ObjectType
	claims  int    // its length, as its head says
	base    []byte // of a delta: a hash, or an offset as it is written
	content []byte // what is compressed: the object, or the delta
}

func whole(content string) stored {
	return stored{kind: plumbing.BlobObject, claims: len(content), content: []byte(content)}
}

// pack writes these objects down, with the right checksum.
func pack(count int, objects ...stored) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count))
	for _, o := range objects {
		b = append(b, o.bytes()...)
	}
	return sealed(b)
}

func sealed(b []byte) []byte {
	sum := sha1.Sum(b)
	return append(slices.Clone(b), sum[:]...)
}

func (o stored) bytes() []byte {
	c := byte(o.kind)<<4 | byte(o.claims&15)
	var b bytes.Buffer
	for rest := o.claims >> 4; rest > 0; rest >>= 7 {
		b.WriteByte(c | 0x80)
		c = byte(rest & 0x7f)
	}
	b.WriteByte(c)
	b.Write(o.base)
	z := zlib.NewWriter(&b)
	z.Write(o.content)
	z.Close()
	return b.Bytes()
}

func nameOfBlob(content []byte) []byte {
	h := plumbing.ComputeHash(plumbing.BlobObject, content)
	return h[:]
}

// toFirst is a delta of the first object of a pack, which is this one.
func toFirst(first stored, delta []byte) stored {
	if len(first.bytes()) > 0x7f {
		return stored{kind: plumbing.REFDeltaObject, claims: len(delta), base: nameOfBlob(first.content), content: delta}
	}
	return stored{kind: plumbing.OFSDeltaObject, claims: len(delta), base: []byte{byte(len(first.bytes()))}, content: delta}
}

// made is a delta: the lengths before and after, then what to do.
func made(before, after int, commands ...byte) []byte {
	b := binary.AppendUvarint(nil, uint64(before))
	return append(binary.AppendUvarint(b, uint64(after)), commands...)
}

// stores are the two kinds of repository that take packs.
func stores(t testing.TB) map[string]*Repository {
	dir := t.TempDir()
	disk, err := initRepository(dir, filepath.Join(dir, ".git"), settings{fetch: "+refs/heads/*:refs/remotes/origin/*"})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Repository{"memory": NewMemory(), "disk": disk}
}

// names are the objects of a repository. Each must be what its name says.
func names(t testing.TB, r *Repository) []string {
	t.Helper()
	all, err := r.store.IterEncodedObjects(plumbing.AnyObject)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	err = all.ForEach(func(o plumbing.EncodedObject) error {
		in, err := o.Reader()
		if err != nil {
			return err
		}
		defer in.Close()
		content, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		name := plumbing.ComputeHash(o.Type(), content)
		if name != o.Hash() || !r.has(name) {
			t.Errorf("what is stored as %s is %s", o.Hash(), name)
		}
		found = append(found, name.String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestRow41_APackThatLies: each is refused within moments and a few megabytes,
// whatever it claims.
func TestRow41_APackThatLies(t *testing.T) {
	t.Parallel()
	hello := whole("hello\n")
	zeros := strings.Repeat("\x00", 8<<20)
	bomb := made(len(zeros), 80*len(zeros), slices.Repeat([]byte{0xf0, 0, 0, 0x80}, 80)...)
	damaged := pack(1, hello)
	damaged[14] ^= 1
	lastByte := pack(1, hello)
	lastByte[len(lastByte)-1] ^= 1
	for name, c := range map[string]struct {
		pack []byte
		want error
	}{
		"an object that is shorter":   {pack(1, stored{kind: plumbing.BlobObject, claims: 400 << 20, content: []byte("x")}), wire.ErrProtocol},
		"an object that is longer":    {pack(1, stored{kind: plumbing.BlobObject, claims: 1, content: []byte("hello")}), wire.ErrProtocol},
		"a delta that is shorter":     {pack(2, hello, stored{kind: plumbing.OFSDeltaObject, claims: 400 << 20, base: []byte{14}, content: made(6, 6, 0x90, 6)}), wire.ErrProtocol},
		"a delta bomb":                {pack(2, whole(zeros), toFirst(whole(zeros), bomb)), errTooLarge},
		"a delta that claims a lot":   {pack(2, hello, toFirst(hello, made(6, 1<<50, 0x90, 6))), errTooLarge},
		"a delta without lengths":     {pack(2, hello, toFirst(hello, []byte{0x86})), wire.ErrProtocol},
		"a delta of nothing":          {pack(1, stored{kind: plumbing.REFDeltaObject, claims: 3, base: make([]byte, 20), content: made(6, 6, 0x90)}), nil},
		"a delta that reads too far":  {pack(2, hello, toFirst(hello, made(6, 7, 0x90, 7))), wire.ErrProtocol},
		"a delta that is cut":         {pack(2, hello, toFirst(hello, made(6, 8, 0x90, 6, 2, 'a'))), wire.ErrProtocol},
		"a delta that makes less":     {pack(2, hello, toFirst(hello, made(6, 8, 0x90, 6))), wire.ErrProtocol},
		"a delta that makes more":     {pack(2, hello, toFirst(hello, made(6, 2, 0x90, 6))), wire.ErrProtocol},
		"a delta to something else":   {pack(2, hello, toFirst(hello, made(9, 9, 0x90, 9))), nil},
		"a length without end":        {sealed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\xb0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), wire.ErrProtocol},
		"more objects than there are": {pack(1<<32-1, hello), nil},
		"fewer objects than it has":   {pack(1, hello, hello), wire.ErrProtocol},
		"a type that is none":         {pack(1, stored{kind: 5, claims: 1, content: []byte("x")}), wire.ErrProtocol},
		"version 3":                   {sealed([]byte("PACK\x00\x00\x00\x03\x00\x00\x00\x00")), wire.ErrProtocol},
		"no pack":                     {[]byte("<html><body>sign in</body></html>"), wire.ErrProtocol},
		"a flipped bit":               {damaged, nil},
		"a flipped bit at the end":    {lastByte, wire.ErrProtocol},
		"something behind it":         {append(pack(1, hello), 'x'), wire.ErrProtocol},
		"nothing, wrongly":            {append(pack(0)[:12], make([]byte, 20)...), wire.ErrProtocol},
		"its first half":              {pack(1, hello)[:20], io.ErrUnexpectedEOF},
	} {
		for where, r := range stores(t) {
			t.Run(name+" to "+where, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				err := r.takePack(bytes.NewReader(c.pack))
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 100 || took > 10*time.Second {
					t.Errorf("it took %s and %d MiB", took, grown)
				}
			})
		}
	}
}

func TestPacksAsGitWritesThem(t *testing.T) {
	t.Parallel()
	for name, b := range realPacks(t) {
		for where, r := range stores(t) {
			if err := r.takePack(bytes.NewReader(b)); err != nil {
				t.Errorf("%s to %s: %v", name, where, err)
				continue
			}
			if len(names(t, r)) < 10 {
				t.Errorf("%s to %s: only %v", name, where, names(t, r))
			}
		}
	}
}

// realPacks are packs of one small history, as the git program writes them.
func realPacks(t testing.TB) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) []byte {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com",
			"GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com", "GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	git("init", "-q", "-b", "main")
	text := strings.Repeat("a line that is there many times over\n", 40)
	for _, n := range []string{"1", "2", "3", "4"} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text+n+text), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", "file")
		git("commit", "-q", "-m", n)
	}
	git("tag", "-a", "-m", "a tag", "v1")
	return map[string][]byte{
		"offsets":   git("pack-objects", "--all", "--stdout", "-q", "--delta-base-offset"),
		"names":     git("pack-objects", "--all", "--stdout", "-q"),
		"no deltas": git("pack-objects", "--all", "--stdout", "-q", "--window=0"),
	}
}

// FuzzPack: no pack makes it panic, and what is taken is what it is called.
func FuzzPack(f *testing.F) {
	for _, b := range realPacks(f) {
		f.Add(b[:len(b)-sha1.Size])
	}
	hello := whole("hello\n")
	for _, b := range [][]byte{
		pack(0), pack(1, hello), pack(2, hello, toFirst(hello, made(6, 4, 0x91, 2, 4))),
		pack(2, hello, stored{kind: plumbing.REFDeltaObject, claims: 6, base: nameOfBlob(hello.content), content: made(6, 8, 0x90, 6, 2, 'a', 'b')[:6]}),
		pack(1<<32-1, hello), pack(1, stored{kind: plumbing.BlobObject, claims: 1 << 40, content: []byte("x")}),
	} {
		f.Add(b[:len(b)-sha1.Size])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := NewMemory(); r.takePack(bytes.NewReader(b)) == nil {
			names(t, r)
		}
		whole := sealed(b) // a hostile server knows how to sum up
		for _, r := range stores(t) {
			if r.takePack(bytes.NewReader(whole)) == nil {
				names(t, r)
			}
		}
	})
}

// FuzzDelta: what a delta makes of an object is what the format says, or
// nothing.
func FuzzDelta(f *testing.F) {
	f.Add([]byte("hello\n"), made(6, 6, 0x90, 6), true)
	f.Add([]byte("hello\n"), made(6, 4, 0x91, 2, 2, 2, 'a', 'b'), false)
	f.Add([]byte("hello\n"), made(6, 7, 0x90, 7), false)
	f.Add([]byte("hello\n"), made(7, 6, 0x90, 6), false)
	f.Add([]byte("hello\n"), made(6, 1<<40, 0x90, 6), false)
	f.Add([]byte("hello\n"), made(6, 6, 0, 0x90, 6), true)
	f.Add([]byte{}, made(0, 1, 1, 'x'), true)
	f.Fuzz(func(t *testing.T, base, delta []byte, byName bool) {
		first := whole(string(base))
		second := toFirst(first, delta)
		if byName {
			second = stored{kind: plumbing.REFDeltaObject, claims: len(delta), base: nameOfBlob(base), content: delta}
		}
		want, right := patched(base, delta)
		for where, r := range stores(t) {
			err := r.takePack(bytes.NewReader(pack(2, first, second)))
			if (err == nil) != right {
				t.Errorf("%s: got %v, the format takes it: %v", where, err, right)
			}
			if err == nil && !slices.Contains(names(t, r), plumbing.ComputeHash(plumbing.BlobObject, want).String()) {
				t.Errorf("%s: it makes something else", where)
			}
		}
	})
}

// patched is the format, as gitformat-pack has it.
func patched(base, delta []byte) ([]byte, bool) {
	before, n := binary.Uvarint(delta)
	after, m := binary.Uvarint(delta[max(n, 0):])
	if n <= 0 || m <= 0 || before != uint64(len(base)) || after > maxMemoryPack {
		return nil, false
	}
	var out []byte
	for in := delta[n+m:]; len(in) > 0; {
		c := in[0]
		in = in[1:]
		if c == 0 {
			return nil, false
		}
		if c < 0x80 {
			if len(in) < int(c) {
				return nil, false
			}
			out, in = append(out, in[:c]...), in[c:]
			continue
		}
		var numbers [7]int
		for bit := range numbers {
			if c&(1<<bit) == 0 {
				continue
			}
			if len(in) == 0 {
				return nil, false
			}
			numbers[bit], in = int(in[0]), in[1:]
		}
		at := numbers[0] | numbers[1]<<8 | numbers[2]<<16 | numbers[3]<<24
		length := numbers[4] | numbers[5]<<8 | numbers[6]<<16
		if length == 0 {
			length = 0x10000
		}
		if at+length > len(base) || len(out)+length > int(after) {
			return nil, false
		}
		out = append(out, base[at:at+length]...)
	}
	return out, uint64(len(out)) == after
}

// FuzzOwnPack: what we write, we read, and so does a repository on disk.
func FuzzOwnPack(f *testing.F) {
	f.Add("a", []byte("1"), "b/c", []byte("2"), "message")
	f.Add("Chart.yaml", []byte("dependencies:\n"), "Chart.yaml", []byte("dependencies: []\n"), "chore: promote")
	f.Add("x", []byte{}, "x/y", bytes.Repeat([]byte("long "), 30000), "")
	f.Fuzz(func(t *testing.T, path string, content []byte, other string, change []byte, message string) {
		from := NewMemory()
		by := Signature{Name: "T", Email: "t@example.com", When: time.Unix(1700000000, 0)}
		first, err := from.Commit(CommitOptions{Message: message, Author: by, Files: []File{{Path: path, Content: content}}})
		if err != nil {
			return
		}
		second, err := from.Commit(CommitOptions{Parent: first, Message: message, Author: by, Files: []File{{Path: other, Content: change}}})
		if err != nil || second == first {
			return
		}
		for where, r := range stores(t) {
			for _, u := range []Update{{Ref: "refs/heads/main", New: first}, {Ref: "refs/heads/main", Old: first, New: second}} {
				b, err := from.packFor([]Update{u}, func(string) bool { return false })
				if err == nil {
					err = r.takePack(bytes.NewReader(b))
				}
				if err != nil {
					t.Fatalf("%s: %v", where, err)
				}
			}
			names(t, r)
			got, err := r.Read(second, other)
			want, wanted := from.Read(second, other)
			if err != nil || wanted != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: read %q, %v, want %q, %v", where, got, err, want, wanted)
			}
		}
	})
}
