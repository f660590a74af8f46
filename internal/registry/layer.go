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

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// writeLayer writes the files as a compressed layer into a temporary file and
// returns its path: a layer can be larger than the memory of a step.
func writeLayer(ctx context.Context, folder string, files []file, created time.Time) (path string, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", unreadableSource(err)
	}
	defer root.Close()
	out, err := os.CreateTemp("", "lockstep-layer-*.tar.gz")
	if err != nil {
		return "", notWritten(err)
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(out.Name())
			err = notWritten(err)
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
		return unreadableSource(err)
	}
	defer in.Close()
	_, err = io.Copy(archive, source{in})
	return err
}

// source tells its own errors from those of the layer that it is copied into.
type source struct{ io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreadableSource(err)
	}
	return n, err
}

func unreadableSource(err error) error {
	return fault.Retryable("FilesUnreadable", err, "The file was there when the step began: check its permissions, and that no other step changes it.")
}

// notWritten keeps errors that have a meaning, and the end of the time.
func notWritten(err error) error {
	if fault.Of(err).Reason != fault.Unclassified || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Retryable("LayerNotWritten", err,
		"The layer is written below TMPDIR, which needs room for the compressed files and has to be writable.")
}
