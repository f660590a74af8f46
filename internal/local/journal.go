package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/redact"
)

// State says how far a delivery is.
type State string

// The states.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Abandoned State = "failed" // refused, or its time was up
)

// Delivery is a webhook for one changed ref.
type Delivery struct {
	ID         string    `json:"id"` // X-GitHub-Delivery
	Repository string    `json:"repository"`
	URL        string    `json:"url"`
	Ref        string    `json:"ref"`
	Before     string    `json:"before"`
	After      string    `json:"after"`
	Pusher     string    `json:"pusher"`
	State      State     `json:"state"`
	Attempts   int       `json:"attempts"`
	Status     int       `json:"status,omitempty"` // of the last answer
	Error      string    `json:"error,omitempty"`  // of the last attempt
	Created    time.Time `json:"created"`
	Finished   time.Time `json:"finished,omitzero"`
}

// kept is how many deliveries are remembered; pending ones always are.
const kept = 200

// journal remembers deliveries in a file, so that those which were not made
// when the server ended are made by the next one.
type journal struct {
	path string
	mu   sync.Mutex
	all  []Delivery // oldest first
}

func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &j.all)
	}
	if err != nil {
		return nil, fmt.Errorf("read the deliveries: %w", err)
	}
	return j, nil
}

// put adds deliveries, or replaces those with the same ID.
func (j *journal) put(deliveries ...Delivery) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range deliveries {
		if at := slices.IndexFunc(j.all, func(o Delivery) bool { return o.ID == d.ID }); at >= 0 {
			j.all[at] = d
		} else {
			j.all = append(j.all, d)
		}
	}
	over := len(j.all) - kept
	j.all = slices.DeleteFunc(j.all, func(d Delivery) bool {
		over--
		return over >= 0 && d.State != Pending
	})
	text, err := json.Marshal(j.all)
	if err != nil {
		return err
	}
	return writeFile(j.path, text)
}

// list returns a copy, oldest first.
func (j *journal) list() []Delivery {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.all)
}

// shown is a delivery without the secrets that its URL or an error may hold.
func (d Delivery) shown() Delivery {
	d.URL, d.Error = redact.Text(redact.URL(d.URL)), redact.Text(d.Error)
	return d
}

// hide takes the same secrets out of an error.
func (d Delivery) hide(err error) error {
	d.Error = err.Error()
	return errors.New(d.shown().Error)
}
