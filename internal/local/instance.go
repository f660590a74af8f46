package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Instance is a running server.
type Instance struct {
	PID     int    `json:"pid"`
	Started string `json:"started"` // see startOf
	Address string `json:"address"` // host:port
	Log     string `json:"log,omitempty"`
	Already bool   `json:"-"` // it ran before Start was called
}

// interval is how often a process that started or ends is looked at.
const interval = 20 * time.Millisecond

func recordFile(dir string) string { return filepath.Join(dir, "server.json") }
func logFile(dir string) string    { return filepath.Join(dir, "server.log") }

// remember records the process that serves a folder: its id, and the moment of
// its start, since an id alone may be given to another process.
func remember(dir, address string) (forget func(), err error) {
	started, err := startOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(Instance{PID: os.Getpid(), Started: started, Address: address, Log: logFile(dir)})
	if err != nil {
		return nil, err
	}
	return func() { os.Remove(recordFile(dir)) }, writeFile(recordFile(dir), text)
}

// Running finds the server of a folder; nil where none runs. The record of one
// that was killed counts for nothing.
func Running(dir string) (*Instance, error) {
	text, err := os.ReadFile(recordFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var i Instance
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("%s: %w", recordFile(dir), err)
	}
	if !i.alive() {
		return nil, nil
	}
	return &i, nil
}

func (i *Instance) alive() bool {
	started, err := startOf(i.PID)
	return err == nil && started == i.Started
}

// healthy asks whether it is this very process that answers.
func (i *Instance) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.Address+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var h health
	return json.NewDecoder(resp.Body).Decode(&h) == nil && h.PID == i.PID
}
