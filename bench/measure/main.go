// Command measure runs a program and reports how long it took and what it
// used, as one line of JSON in a file:
//
//	measure <report> <program> [argument]...
//
// It is a program of its own, and a small one, because Linux counts what the
// parent held at the fork into a child's peak memory.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Usage is what a program used, with all the children it waited for. Times are
// in nanoseconds; MaxRSS is the peak of the largest process, in KiB.
type Usage struct {
	Wall, User, System time.Duration
	MaxRSS             int64
	Exit               int
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: measure report program [argument]...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(report, program string, args []string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not report what a process used")
	}
	line, err := json.Marshal(Usage{
		Wall: wall, User: cmd.ProcessState.UserTime(), System: cmd.ProcessState.SystemTime(),
		MaxRSS: used.Maxrss, Exit: cmd.ProcessState.ExitCode(),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(report, line, 0o644)
}
