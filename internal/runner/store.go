package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"syscall"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// ErrNoRun says that a run is not, or no longer, kept.
var ErrNoRun = errors.New("no such run")

// ErrTaken says that a run of the same name is kept.
var ErrTaken = errors.New("its name is taken")

var errInvalidName = errors.New("not the name of a run")

// Store keeps runs in a folder, one folder each:
//
//	<name>/run.json                  a Record
//	<name>/events.jsonl              what happened, an Event in each line
//	<name>/logs/<taskrun>/<step>.log what each step printed
//	<name>/lock                      held while the run is under way
type Store struct{ Dir string }

// Record is what is kept of a run.
type Record struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`   // PipelineRun or TaskRun
	Object string `json:"object"` // the file it came from, or what started it
	// Namespace and Annotations are the run's own.
	Namespace   string            `json:"namespace,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Started     time.Time         `json:"started"`
	Finished    time.Time         `json:"finished,omitzero"`
	State       string            `json:"state"` // one of the states below
	Reason      string            `json:"reason,omitempty"`
	Message     string            `json:"message,omitempty"`
	*Outcome
}

// States of a record.
const (
	StateRunning   = "Running"
	StateSucceeded = "Succeeded"
	StateFailed    = "Failed"
	StateLost      = "Lost"    // its process is gone
	StateDamaged   = "Damaged" // its record cannot be read; the message says why
)

// Kept is a run whose folder this process holds.
type Kept struct {
	Record
	Dir    string
	lock   *os.File
	events *os.File
	mu     sync.Mutex
}

// validName keeps a name inside the folder of the runs.
func validName(name string) error {
	if !filepath.IsLocal(name) || filepath.Base(name) != name {
		return fault.Usage("InvalidName", fmt.Errorf("%q is %w", name, errInvalidName), "")
	}
	return nil
}

// Begin makes the folder of a run. A name that is taken is refused with
// ErrTaken.
func (s Store) Begin(o metav1.Object, object string) (*Kept, error) {
	name := o.GetName()
	dir := filepath.Join(s.Dir, name)
	if err := validName(name); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fault.Disk(fmt.Errorf("keep runs: %w", err))
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
		return nil, fault.Refused("AlreadyExists", fmt.Errorf("a run %s is there already: %w", name, ErrTaken), "")
	} else if err != nil {
		return nil, fault.Disk(fmt.Errorf("keep runs: %w", err))
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Disk(fmt.Errorf("keep runs: %w", err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a file descriptor is small
		return nil, errors.Join(fmt.Errorf("keep runs: lock %s: %w", dir, err), lock.Close())
	}
	events, err := os.OpenFile(filepath.Join(dir, "events.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fault.Disk(errors.Join(fmt.Errorf("keep runs: %w", err), lock.Close()))
	}
	k := &Kept{
		Record: Record{
			Name: name, Kind: kindOf(o), Object: object, Namespace: o.GetNamespace(), Annotations: o.GetAnnotations(),
			Started: time.Now(), State: StateRunning,
		},
		Dir: dir, lock: lock, events: events,
	}
	return k, k.save()
}

// Hear keeps an event, for whoever follows the run from another process.
func (k *Kept) Hear(e Event) {
	text, err := json.Marshal(e)
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// One who follows misses an event that the disk has no room for; the record says how it ended.
	_, _ = k.events.Write(append(text, '\n'))
}

// End notes how the run ended and lets its folder go. A nil outcome is a run
// that did not start: nothing is kept of it.
func (k *Kept) End(o *Outcome) error {
	defer k.lock.Close()
	defer k.events.Close()
	if o == nil {
		return os.RemoveAll(k.Dir)
	}
	k.Outcome, k.Finished, k.State = o, time.Now(), StateFailed
	if c := o.condition(); c != nil {
		k.Reason, k.Message = c.Reason, c.Message
		if c.IsTrue() {
			k.State = StateSucceeded
		}
	}
	return k.save()
}

func (o *Outcome) condition() *apis.Condition {
	if o.PipelineRun != nil {
		return o.PipelineRun.Status.GetCondition(apis.ConditionSucceeded)
	}
	for _, tr := range o.TaskRuns {
		return tr.Status.GetCondition(apis.ConditionSucceeded)
	}
	return nil
}

// Well says whether the run succeeded.
func (o *Outcome) Well() bool {
	c := o.condition()
	return c != nil && c.IsTrue()
}

// save writes the record whole: beside it first, then in its place.
func (k *Kept) save() error {
	text, err := json.MarshalIndent(k.Record, "", "  ")
	if err != nil {
		return fmt.Errorf("keep run %s: %w", k.Name, err)
	}
	path := filepath.Join(k.Dir, "run.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fault.Disk(fmt.Errorf("keep run %s: %w", k.Name, err))
	}
	return os.Rename(path+".new", path)
}

// List returns the runs, newest first. One that cannot be read is among them,
// with StateDamaged.
func (s Store) List() ([]Record, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var list []Record
	for _, e := range entries {
		r, err := s.Get(e.Name())
		if errors.Is(err, ErrNoRun) || !e.IsDir() {
			continue // it is being made or deleted, or is none
		}
		if err != nil {
			r = damaged(e, err)
		}
		list = append(list, r)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Started.After(list[j].Started) })
	return list, nil
}

// damaged is a record of what is known of a run without its own.
func damaged(folder os.DirEntry, err error) Record {
	r := Record{Name: folder.Name(), State: StateDamaged, Message: err.Error()}
	if info, err := folder.Info(); err == nil {
		r.Started = info.ModTime()
	}
	return r
}

// Get returns one run, or ErrNoRun.
func (s Store) Get(name string) (Record, error) {
	var r Record
	if err := validName(name); err != nil {
		return r, err
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, name, "run.json"))
	if errors.Is(err, os.ErrNotExist) {
		return r, fault.Usage("NotFound", fmt.Errorf("run %s: %w", name, ErrNoRun), "lockstep runs lists them")
	}
	if err != nil {
		return r, fmt.Errorf("run %s: %w", name, err)
	}
	if err := r.read(text); err != nil {
		return r, fault.Refused("RunDamaged", fmt.Errorf("run %s: %w", name, err), "lockstep runs delete "+name+" removes it")
	}
	if r.State == StateRunning && !s.held(name) {
		r.State, r.Message = StateLost, "the process that ran it is gone"
	}
	return r, nil
}

// read takes a record from its file. The disk may have lost a part of it.
func (r *Record) read(text []byte) error {
	if err := json.Unmarshal(text, r); err != nil {
		return fmt.Errorf("read run.json: %w", err)
	}
	if r.Name == "" {
		return errors.New("read run.json: it names no run")
	}
	if r.Outcome != nil {
		maps.DeleteFunc(r.TaskRuns, func(_ string, tr *pipelinev1.TaskRun) bool { return tr == nil })
	}
	return nil
}

// held says whether some process holds the run's lock.
func (s Store) held(name string) bool {
	lock, err := os.Open(filepath.Join(s.Dir, name, "lock"))
	if err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK) //nolint:gosec // a file descriptor is small
}

// Delete removes a run that is not under way, a damaged one as well.
func (s Store) Delete(name string) error {
	_, err := s.Get(name)
	if errors.Is(err, ErrNoRun) || errors.Is(err, errInvalidName) {
		return err
	}
	if s.held(name) {
		return fault.Refused("StillRunning", fmt.Errorf("run %s is under way", name), "stop it first")
	}
	return remove(filepath.Join(s.Dir, name))
}

// Logs returns the log files of a run in the order in which they were begun.
func (s Store) Logs(name string) ([]string, error) {
	if _, err := s.Get(name); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, name, "logs", "*", "*.log"))
	if err != nil {
		return nil, err
	}
	begun := map[string]time.Time{}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			begun[file] = info.ModTime()
		}
	}
	sort.SliceStable(files, func(i, j int) bool { return begun[files[i]].Before(begun[files[j]]) })
	return files, nil
}
