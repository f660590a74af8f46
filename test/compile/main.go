// Command compile builds programs of this module as `go build` does, and says
// how far it is. OUT is a program, or with a slash at its end a folder.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/lockstep-cd/lockstep/internal/gobuild"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: compile OUT PACKAGE …")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	build := gobuild.Build{Dir: ".", Out: os.Args[1], Say: func(line string) { fmt.Println(line) }}
	if err := build.Run(ctx, os.Args[2:]...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
