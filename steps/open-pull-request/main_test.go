package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/forge/giteatest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"open-pull-request": main}) }

// TestSessions gives all sessions one Gitea, a real one.
func TestSessions(t *testing.T) { testscript.Run(t, giteatest.Sessions(t, "testdata")) }
