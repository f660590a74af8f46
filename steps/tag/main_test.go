package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"tag": main}) }

func TestSessions(t *testing.T) { testscript.Run(t, gittest.Sessions(t, "testdata")) }
