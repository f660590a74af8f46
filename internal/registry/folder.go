package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

func (a Archive) fileName() string { return a.Name + "-" + a.Version + ".tgz" }

func locateFolder(ref ChartRef) (Location, error) {
	path := filepath.Join(folderOf(ref.Repository), Archive{Name: ref.Name, Version: ref.Version}.fileName())
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Location{}, ErrNotFound
	}
	if err != nil {
		return Location{}, err
	}
	digest := Digest(content)
	return Location{Ref: ref, URL: path, Digest: digest, Content: digest}, nil
}

// pushFolder writes the archive whole or not at all, and never through a link:
// os.Root keeps every path inside the folder.
func pushFolder(a Archive, ref ChartRef) (Pushed, error) {
	folder := folderOf(ref.Repository)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return Pushed{}, folderFault(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Pushed{}, folderFault(err)
	}
	defer root.Close()
	partial := "." + a.fileName() + ".partial"
	if err := root.WriteFile(partial, a.Content, 0o666); err != nil {
		return Pushed{}, folderFault(err)
	}
	if err := root.Rename(partial, a.fileName()); err != nil {
		return Pushed{}, folderFault(errors.Join(err, root.Remove(partial)))
	}
	digest := Digest(a.Content)
	return Pushed{Location: Location{
		Ref: ref, URL: filepath.Join(folder, a.fileName()), Digest: digest, Content: digest,
	}}, nil
}

func folderFault(err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = "Where the folder is a volume, set fsGroup in the pod's security context to this step's group."
	}
	return fault.Retryable("FolderNotWritable", fmt.Errorf("write the chart: %w", err), hint)
}
