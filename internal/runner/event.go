package runner

import "time"

// EventKind says what happened.
type EventKind string

// What a run tells, in this order; several tasks may be under way at once.
const (
	RunStarted  EventKind = "run-started"
	TaskStarted EventKind = "task-started"
	StepStarted EventKind = "step-started"
	StepEnded   EventKind = "step-ended"
	TaskRetried EventKind = "task-retried"
	TaskEnded   EventKind = "task-ended"
	TaskSkipped EventKind = "task-skipped"
)

// Event is one thing that happened in a run.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Task    string // name in the Pipeline, or of the TaskRun that stands alone
	TaskRun string
	Step    string
	// Tasks are the names of all tasks in the order of the Pipeline, with
	// RunStarted.
	Tasks []string
	// Log is the file that the step writes to, with StepStarted and StepEnded.
	Log string
	// Well says whether what ended ended well.
	Well bool
	// Reason is Tekton's word for how it ended, such as Succeeded, Failed,
	// Skipped, or why a task was skipped.
	Reason string
	// Message is one line for people, or "".
	Message string
}
