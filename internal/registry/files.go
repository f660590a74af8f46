package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// file is one entry of an image's layer.
type file struct {
	source string // below the folder; "" for folders and links
	target string // in the image, without the leading slash
	mode   fs.FileMode
	size   int64
	link   string // what a symbolic link says
}

// collect lists what the lines "source:target" put into an image. A source is a
// file or a folder below the given folder; a target that ends with a slash is a
// folder to put the source's file or the folder's content into. .git is never
// part of an image: it differs from clone to clone.
func collect(folder string, lines []string) ([]file, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fault.Usage("FilesMissing", err, "")
	}
	defer root.Close()
	var files []file
	for _, line := range lines {
		source, target, err := parseLine(line)
		if err != nil {
			return nil, err
		}
		c := &collector{root: root, source: source, target: target}
		if err := c.collect(strings.HasSuffix(line, "/")); err != nil {
			return nil, fmt.Errorf("files %q: %w", line, err)
		}
		files = append(files, c.files...)
	}
	return ordered(files)
}

func parseLine(line string) (source, target string, err error) {
	source, target, ok := strings.Cut(line, ":")
	source = path.Clean(strings.TrimPrefix(source, "./"))
	if !ok || !path.IsAbs(target) || slices.Contains(strings.Split(target, "/"), "..") {
		return "", "", fault.Usage("FilesInvalid", fmt.Errorf("files %q is not source:target with an absolute target", line),
			"Example: bin/user-service:/app/user-service")
	}
	if source == ".." || strings.HasPrefix(source, "../") || path.IsAbs(source) {
		return "", "", fault.Refused("PathRefused", fmt.Errorf("files %q leaves the folder", line),
			"Sources are paths below the folder that the step is given.")
	}
	return source, strings.TrimPrefix(path.Clean(target), "/"), nil
}

type collector struct {
	root           *os.Root
	source, target string
	files          []file
}

func (c *collector) collect(intoFolder bool) error {
	info, err := c.root.Stat(c.source)
	if err != nil {
		return c.unreadable(c.source, err)
	}
	if info.IsDir() {
		return fs.WalkDir(c.root.FS(), c.source, c.visit)
	}
	if intoFolder {
		c.target = path.Join(c.target, path.Base(c.source))
	}
	return c.add(c.source, c.target, info)
}

// unreadable tells a path that is not there from one that leaves the folder.
func (c *collector) unreadable(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Usage("FilesMissing", err, "Check that the build step before wrote it, and where.")
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.Retryable("FilesUnreadable", err, "")
	}
	return leaves(name, err)
}

func leaves(name string, err error) error {
	return fault.Refused("PathRefused", fmt.Errorf("%s leaves the folder: %w", name, err),
		"An image may hold only what lies below the folder: copy the file there instead of linking to it.")
}

func (c *collector) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return c.unreadable(name, err)
	}
	if name == c.source {
		return nil
	}
	if entry.Name() == ".git" {
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return c.unreadable(name, err)
	}
	below := strings.TrimPrefix(name, c.source+"/")
	return c.add(name, path.Join(c.target, below), info)
}

func (c *collector) add(source, target string, info fs.FileInfo) error {
	if strings.HasPrefix(path.Base(target), ".wh.") {
		return fault.Refused("FileRefused", fmt.Errorf("%s: the name means a deletion in an image", source), "Rename the file.")
	}
	switch kind := info.Mode().Type(); {
	case kind == 0:
		c.files = append(c.files, file{source: source, target: target, mode: fileMode(info.Mode()), size: info.Size()})
	case kind == fs.ModeDir:
		c.files = append(c.files, file{target: target, mode: fs.ModeDir | 0o755})
	case kind == fs.ModeSymlink:
		return c.addLink(source, target)
	default:
		return fault.Refused("FileRefused", fmt.Errorf("%s is no file, folder or link", source), "")
	}
	return nil
}

// addLink keeps a relative link whose target lies in the same source folder:
// then it means the same in the image.
func (c *collector) addLink(source, target string) error {
	link, err := c.root.Readlink(source)
	if err != nil {
		return err
	}
	to := path.Join(path.Dir(source), link)
	inside := c.source == "." && to != ".." && !strings.HasPrefix(to, "../") || strings.HasPrefix(to, c.source+"/")
	if path.IsAbs(link) || !inside {
		return leaves(source, fmt.Errorf("it is a link to %s", link))
	}
	if _, err := c.root.Stat(source); err != nil {
		return leaves(source, err)
	}
	c.files = append(c.files, file{target: target, mode: fs.ModeSymlink | 0o777, link: link})
	return nil
}

// fileMode keeps only whether a file can be executed: the rest depends on the
// umask of whoever cloned.
func fileMode(mode fs.FileMode) fs.FileMode {
	if mode&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

// ordered sorts by target and refuses two files for one. Folders may repeat.
func ordered(files []file) ([]file, error) {
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Compare(a.target, b.target) })
	var kept []file
	for _, f := range files {
		if n := len(kept); n > 0 && kept[n-1].target == f.target {
			if f.mode.IsDir() && kept[n-1].mode.IsDir() {
				continue
			}
			return nil, fault.Usage("FilesInvalid", fmt.Errorf("files put two sources at /%s", f.target), "")
		}
		kept = append(kept, f)
	}
	if len(kept) == 0 {
		return nil, fault.Usage("FilesMissing", errors.New("files name nothing to put into the image"), "Example: bin/user-service:/app/user-service")
	}
	return kept, nil
}
