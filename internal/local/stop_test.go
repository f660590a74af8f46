package local

import (
	"bufio"
	"os/exec"
	"testing"
	"time"
)

// TestAStubbornProcessIsKilled ends one that ignores SIGTERM.
func TestAStubbornProcessIsKilled(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; while :; do read -r _; done`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := end(t.Context(), cmd.Process.Pid, 300*time.Millisecond, func() bool { return len(ended) > 0 }); err != nil {
		t.Fatal(err)
	}
	if text := (<-ended).Error(); text != "signal: killed" {
		t.Errorf("got %s", text)
	}
}
