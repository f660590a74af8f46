//go:build !linux

package local

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// startOf identifies the process that has this id now by the second of its
// start, which is the best that ps offers everywhere. A zombie counts as gone.
func startOf(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", err
	}
	state, started, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok || strings.HasPrefix(state, "Z") {
		return "", os.ErrProcessDone
	}
	return strings.TrimSpace(started), nil
}
