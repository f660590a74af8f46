package runner_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/runner"
)

// TestADamagedRunIsOneOfTheList: what a crash or a full disk left of one run does
// not hide the others.
func TestADamagedRunIsOneOfTheList(t *testing.T) {
	for name, text := range map[string]string{
		"cut": `{"name": "run", "sta`, "empty": "", "null": "null", "other": "[]", "nameless": "{}", "type": `{"name": 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			store := runner.Store{Dir: t.TempDir()}
			end(t, store, "good")
			end(t, store, "bad")
			writeRecord(t, store, "bad", text)
			list, err := store.List()
			if err != nil {
				t.Fatal(err)
			}
			states := map[string]string{}
			for _, r := range list {
				states[r.Name] = r.State
			}
			if len(states) != 2 || states["good"] != runner.StateSucceeded || states["bad"] != runner.StateDamaged {
				t.Errorf("%v", states)
			}
			if _, err := store.Get("bad"); fault.Of(err).Reason != "RunDamaged" {
				t.Errorf("get: %v", err)
			}
			if err := store.Delete("bad"); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := store.Get("bad"); !errors.Is(err, runner.ErrNoRun) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

// TestARunUnderWayIsNotDeleted also where its record is damaged.
func TestARunUnderWayIsNotDeleted(t *testing.T) {
	store := runner.Store{Dir: t.TempDir()}
	for _, text := range []string{"", "as it is"} {
		kept, err := store.Begin(taskRun("run"), "test")
		if err != nil {
			t.Fatal(err)
		}
		if text == "" {
			writeRecord(t, store, "run", text)
		}
		if err := store.Delete("run"); fault.Of(err).Reason != "StillRunning" {
			t.Errorf("%q: %v", text, err)
		}
		if err := kept.End(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnUnreadableRunIsOneOfTheList: its record is no file.
func TestAnUnreadableRunIsOneOfTheList(t *testing.T) {
	store := runner.Store{Dir: t.TempDir()}
	end(t, store, "good")
	if err := os.MkdirAll(filepath.Join(store.Dir, "bad", "run.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	list, err := store.List()
	if err != nil || len(list) != 2 {
		t.Errorf("%d runs: %v", len(list), err)
	}
}

func end(t *testing.T, store runner.Store, name string) {
	t.Helper()
	tr := taskRun(name)
	kept, err := store.Begin(tr, "test")
	if err != nil {
		t.Fatal(err)
	}
	tr.Status.InitializeConditions()
	tr.Status.MarkResourceOngoing("Succeeded", "")
	tr.Status.Conditions[0].Status = "True"
	if err := kept.End(&runner.Outcome{TaskRuns: map[string]*pipelinev1.TaskRun{name: tr}}); err != nil {
		t.Fatal(err)
	}
}

func taskRun(name string) *pipelinev1.TaskRun {
	tr := &pipelinev1.TaskRun{}
	runner.Identify(tr, name)
	return tr
}

func writeRecord(t *testing.T, store runner.Store, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(store.Dir, name, "run.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
