// Package image makes container images from this machine's files and pushes them to a registry that speaks plain
// HTTP. An image's tag is a digest of what went in, so that one that is there already is neither made nor sent again.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"
)

// Image is what to make.
type Image struct {
	Name   string // repository in the registry
	Layers []Layer
	Config Config
}

// Config is the part of an image's configuration that a container starts with.
type Config struct {
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	WorkingDir string   `json:"WorkingDir,omitempty"`
}

// Layer writes files into an archive. Two layers with the same key are taken for the same.
type Layer struct {
	Key   string
	Write func(*Archive) error
}

// Tag returns the digest of what the image is made of.
func (i Image) Tag() (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(i.Config); err != nil {
		return "", err
	}
	fmt.Fprintln(h, runtime.GOARCH)
	for _, l := range i.Layers {
		fmt.Fprintln(h, l.Key)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// Small makes a layer whose key is its content, for layers that are quickly written.
func Small(write func(*Archive) error) (Layer, error) {
	var content bytes.Buffer
	if err := writeLayer(&content, write); err != nil {
		return Layer{}, err
	}
	sum := sha256.Sum256(content.Bytes())
	return Layer{Key: hex.EncodeToString(sum[:]), Write: write}, nil
}

func writeLayer(out io.Writer, write func(*Archive) error) error {
	a := &Archive{tar: tar.NewWriter(out)}
	if err := write(a); err != nil {
		return err
	}
	return a.tar.Close()
}

// Archive is a layer being written. All files belong to root and have the same time: only their content counts.
type Archive struct{ tar *tar.Writer }

// Dir adds a folder. The path has no leading slash.
func (a *Archive) Dir(path string, mode int64) error { return a.DirOf(path, mode, 0) }

// DirOf adds a folder that belongs to the user and the group of this number.
func (a *Archive) DirOf(path string, mode int64, owner int) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode, Uid: owner, Gid: owner, ModTime: epoch()})
}

// File adds a file.
func (a *Archive) File(path string, mode int64, content []byte) error {
	return a.Copy(path, mode, int64(len(content)), bytes.NewReader(content))
}

// Copy adds a file of the given size.
func (a *Archive) Copy(path string, mode, size int64, content io.Reader) error {
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: size, ModTime: epoch()}); err != nil {
		return err
	}
	_, err := io.CopyN(a.tar, content, size)
	return err
}

// Link adds a symbolic link.
func (a *Archive) Link(path, target string) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777, ModTime: epoch()})
}

func epoch() time.Time { return time.Unix(0, 0) }
