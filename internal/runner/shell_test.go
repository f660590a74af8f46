package runner

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDefaultCommand(t *testing.T) {
	for _, c := range []struct {
		image string
		args  []string
		want  []string
		known bool
	}{
		{"busybox", []string{"-c", "true"}, []string{"sh"}, true},
		{"docker.io/library/alpine:3.20@sha256:00", nil, []string{"sh"}, true},
		{"mirror.gcr.io/ubuntu:24.04", nil, []string{"bash"}, true},
		{"mirror.gcr.io/bash:5", []string{"-c", "true"}, []string{"bash"}, true},
		{"mirror.gcr.io/bash", []string{"echo", "hello"}, nil, true},
		{"registry.example.com:5000/busybox", nil, nil, false},
		{"example/alpine", nil, nil, false},
	} {
		got, known := defaultCommand(c.image, c.args)
		if known != c.known || known && !slices.Equal(got, c.want) {
			t.Errorf("%s %q: %q %v, want %q %v", c.image, c.args, got, known, c.want, c.known)
		}
	}
}

func TestProgramsAreFoundByName(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(second, "sh"), filepath.Join(second, "git")} {
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(first, "sh"), nil, 0o644); err != nil { // not to be run
		t.Fatal(err)
	}
	searchPath := first + string(filepath.ListSeparator) + second
	for command, want := range map[string]string{
		"git":                filepath.Join(second, "git"),
		"/bin/sh":            filepath.Join(second, "sh"),
		"/usr/local/bin/git": filepath.Join(second, "git"),
		"./git":              "./git",
		"/ko-app/git":        "/ko-app/git",
		"/usr/bin/none":      "/usr/bin/none",
		"none":               "none",
	} {
		if got := program(command, searchPath); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

func TestInterpreted(t *testing.T) {
	for script, want := range map[string][]string{
		"#!/bin/sh\nexit":              {"/bin/sh", "script"},
		"#! /usr/bin/env -S bash -e\n": {"/usr/bin/env", "-S bash -e", "script"},
		"#!/bin/bash -eu":              {"/bin/bash", "-eu", "script"},
	} {
		if got := interpreted("script", script); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", script, got, want)
		}
	}
}
