package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestPromote runs sessions against a Git host.
func TestPromote(t *testing.T) { testscript.Run(t, gittest.Sessions(t, "testdata/promote")) }

// TestPullRequests runs sessions against a real Gitea.
func TestPullRequests(t *testing.T) { testscript.Run(t, giteatest.Sessions(t, "testdata/gitea")) }
