package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Open reads a packaged chart that came from a repository: untrusted bytes.
func Open(content []byte) (*Chart, error) {
	if err := checkArchive(content); err != nil {
		return nil, err
	}
	c, err := loader.LoadArchive(bytes.NewReader(content))
	if err != nil {
		return nil, fault.Refused("ChartInvalid", err, "")
	}
	return c, nil
}

// checkArchive refuses, before anything is kept of it, an archive that holds
// anything but plain files below one folder, or that unpacks to more than a
// chart can be. Charts inside it are checked in turn.
func checkArchive(content []byte) error { return checkArchiveAt(content, 0) }

// maxNesting bounds archives inside archives.
const maxNesting = 8

func checkArchiveAt(content []byte, depth int) error {
	if depth > maxNesting {
		return unsafeArchive("archives are nested more than %d deep", maxNesting)
	}
	zip, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return unsafeArchive("it is no gzip file: %v", err)
	}
	bounded := &io.LimitedReader{R: zip, N: maxChartSize}
	archive := tar.NewReader(bounded)
	for files := 0; ; files++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if bounded.N <= 0 || files >= maxFiles {
			return unsafeArchive("it unpacks to more than %d bytes or %d files", maxChartSize, maxFiles)
		}
		if err != nil {
			return unsafeArchive("it is no tar file: %v", err)
		}
		if err := checkEntry(header, archive, depth); err != nil {
			return err
		}
	}
}

func checkEntry(header *tar.Header, content io.Reader, depth int) error {
	switch header.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader, tar.TypeXHeader:
		return nil
	case tar.TypeReg:
	default:
		return unsafeArchive("%q is a link or a device", header.Name)
	}
	if err := checkName(header.Name); err != nil {
		return err
	}
	if header.Size > maxFileSize {
		return unsafeArchive("%q has %d bytes, more than %d", header.Name, header.Size, maxFileSize)
	}
	if _, rest, _ := strings.Cut(header.Name, "/"); !isVendoredArchive(rest) {
		return nil
	}
	inner, err := io.ReadAll(io.LimitReader(content, maxFileSize))
	if err != nil {
		return unsafeArchive("%q cannot be read: %v", header.Name, err)
	}
	return checkArchiveAt(inner, depth+1)
}

// checkName refuses names that mean another place, on any system.
func checkName(name string) error {
	if name == "" || path.IsAbs(name) || strings.ContainsAny(name, "\\\x00") || strings.Contains(name, ":") {
		return unsafeArchive("the name %q is not a path below the chart", name)
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." || part == "." {
			return unsafeArchive("the name %q leaves the chart's folder", name)
		}
	}
	return nil
}

func unsafeArchive(format string, args ...any) error {
	return fault.Refused("ArchiveRefused", fmt.Errorf("chart archive: "+format+": %w", append(args, ErrUnsafe)...),
		"Real charts hold plain files below one folder. Find out who published this one.")
}
