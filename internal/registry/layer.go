package registry

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// writeLayer writes the files as a compressed layer into a temporary file and
// returns its path: a layer can be larger than the memory of a step.
func writeLayer(ctx context.Context, folder string, files []file, created time.Time) (path string, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer root.Close()
	out, err := os.CreateTemp("", "lockstep-layer-*.tar.gz")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(out.Name())
		}
	}()
	buffered := bufio.NewWriterSize(out, 1<<20)
	zip := gzip.NewWriter(buffered)
	archive := tar.NewWriter(zip)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := f.write(archive, root, created); err != nil {
			return "", err
		}
	}
	return out.Name(), errors.Join(archive.Close(), zip.Close(), buffered.Flush())
}

// write adds one entry. Owner, group, time and mode never come from the machine
// that packages. Everything belongs to root: the process of the image cannot
// change its own program.
func (f file) write(archive *tar.Writer, root *os.Root, created time.Time) error {
	header := &tar.Header{
		Name: f.target, Mode: int64(f.mode.Perm()), Size: f.size, Linkname: f.link,
		ModTime: created, Format: tar.FormatPAX, Typeflag: tar.TypeReg,
	}
	switch {
	case f.mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, f.target+"/"
	case f.link != "":
		header.Typeflag = tar.TypeSymlink
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if f.source == "" {
		return nil
	}
	in, err := root.Open(f.source)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(archive, in)
	return err
}
