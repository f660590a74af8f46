package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Bounds of what is read of one chart, whether from a folder or an archive.
const (
	maxFiles     = 20_000
	maxFileSize  = 5 << 20
	maxChartSize = 100 << 20
)

// readFolder reads a chart's files with their paths below dir, which stand for
// untrusted content: every path is opened below dir, and a link that leaves it
// is refused. .helmignore is respected. .git and lost+found are never part of a
// chart, although Helm would pack them.
func readFolder(dir string) ([]*loader.BufferedFile, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Usage("NotAChart", err, "Name the folder that holds the chart's Chart.yaml.")
	}
	defer root.Close()
	rules, err := ignoreRules(root)
	if err != nil {
		return nil, err
	}
	r := &folderReader{root: root, rules: rules}
	if err := fs.WalkDir(root.FS(), ".", r.visit); err != nil {
		return nil, err
	}
	return r.files, nil
}

type folderReader struct {
	root  *os.Root
	rules *ignore.Rules
	files []*loader.BufferedFile
	size  int64
}

func (r *folderReader) visit(name string, entry fs.DirEntry, err error) error {
	if name == "." || name == ".git" || name == "lost+found" {
		if name != "." && (entry == nil || entry.IsDir()) {
			return fs.SkipDir
		}
		return err
	}
	if err != nil {
		return err
	}
	info, err := r.root.Lstat(name)
	if err != nil {
		return err
	}
	if r.rules.Ignore(name, info) {
		if info.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if info.IsDir() {
		return nil
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if info, err = r.follow(name); err != nil {
			return err
		}
	}
	return r.read(name, info)
}

// follow accepts a link to a file of the same folder and nothing else.
func (r *folderReader) follow(name string) (fs.FileInfo, error) {
	info, err := r.root.Stat(name)
	if err == nil && info.Mode().IsRegular() {
		return info, nil
	}
	target, _ := r.root.Readlink(name)
	if err == nil {
		err = errors.New("it is no link to a file")
	}
	return nil, fault.Refused("LinkRefused",
		fmt.Errorf("%s is a link to %s: %w: %w", name, target, ErrUnsafe, err),
		"A chart may only link to files of its own folder.")
}

func (r *folderReader) read(name string, info fs.FileInfo) error {
	r.size += info.Size()
	switch {
	case !info.Mode().IsRegular():
		return fault.Refused("FileRefused", fmt.Errorf("%s is no regular file: %w", name, ErrUnsafe), "")
	case info.Size() > maxFileSize:
		return tooLarge(fmt.Errorf("%s has %d bytes, more than %d", name, info.Size(), maxFileSize))
	case r.size > maxChartSize:
		return tooLarge(fmt.Errorf("the chart is larger than %d bytes", maxChartSize))
	case len(r.files) >= maxFiles:
		return tooLarge(fmt.Errorf("the chart has more than %d files", maxFiles))
	}
	content, err := r.root.ReadFile(name)
	if err != nil {
		return err
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	r.files = append(r.files, &loader.BufferedFile{Name: name, Data: content})
	return nil
}

func tooLarge(err error) error {
	return fault.Refused("ChartTooLarge", err, "Keep what is no part of the chart out of it with .helmignore.")
}

func ignoreRules(root *os.Root) (*ignore.Rules, error) {
	rules := ignore.Empty()
	content, err := root.ReadFile(ignore.HelmIgnore)
	if err == nil {
		rules, err = ignore.Parse(bytes.NewReader(content))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Refused("ChartInvalid", fmt.Errorf("%s: %w", ignore.HelmIgnore, err), "")
	}
	rules.AddDefaults()
	return rules, nil
}

// isVendoredArchive holds for charts/<file>.tgz.
func isVendoredArchive(name string) bool {
	dir, file := path.Split(name)
	return dir == "charts/" && strings.HasSuffix(file, ".tgz")
}
