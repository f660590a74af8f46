package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blobs are files named by their SHA-256. They are written whole or not at all,
// after their digest was checked, so that reading one is trusting its name.
type blobs struct{ root *os.Root }

func blobFile(h v1.Hash) string { return blobsDir + "/" + h.Hex }

// Stat returns the size of a blob.
func (b blobs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	info, err := b.root.Stat(blobFile(h))
	if err != nil {
		return 0, notFound(err)
	}
	return info.Size(), nil
}

// Get opens a blob.
func (b blobs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	f, err := b.root.Open(blobFile(h))
	if err != nil {
		return nil, notFound(err)
	}
	return f, nil
}

// Put stores a blob. Reading content to its end is what checks its digest.
func (b blobs) Put(_ context.Context, _ string, h v1.Hash, content io.ReadCloser) error {
	defer content.Close()
	if err := writeWhole(b.root, blobFile(h), content); err != nil {
		return fmt.Errorf("store blob %s below %s: %w", h, b.root.Name(), err)
	}
	return nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return registry.ErrNotFound
	}
	return err
}

// writeWhole writes a file elsewhere in the folder and moves it to its place,
// once the disk has it.
func writeWhole(root *os.Root, path string, content io.Reader) error {
	partial := uploadsDir + "/" + rand.Text()
	f, err := root.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(partial, path)
	}
	if err != nil {
		_ = root.Remove(partial)
	}
	return err
}
