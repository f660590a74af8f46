// Package fault says what an error means for the person or the pipeline that
// asked: whether a retry may help, which class of failure it is, and what to
// do next. Rooms attach it where that meaning is known; the door of the
// programs reads it and chooses the exit code. It neither prints nor exits.
package fault

import "errors"

// Kind decides the exit code of a program.
type Kind int

// The kinds, each with the exit code that stands for it.
const (
	KindRetryable  Kind = 1 // failed; a retry may help
	KindUsage      Kind = 2 // asked wrongly; nothing was touched
	KindRefused    Kind = 3 // refused for good; a retry cannot help
	KindUnverified Kind = 4 // what runs is not healthy, or not what Git says
)

// Unclassified is the reason of an error that carries no fault.
const Unclassified = "Failed"

// Error is an error together with its meaning. It unwraps to its cause, so
// that errors.Is and errors.As reach the sentinels of the rooms.
type Error struct {
	Kind   Kind
	Reason string // CamelCase class for programs, such as "PushRejected"
	Hint   string // what the user should do, one or two sentences, or ""
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Retryable marks err as a failure that a retry may cure.
func Retryable(reason string, err error, hint string) error {
	return &Error{Kind: KindRetryable, Reason: reason, Hint: hint, Err: err}
}

// Usage marks err as the caller's mistake.
func Usage(reason string, err error, hint string) error {
	return &Error{Kind: KindUsage, Reason: reason, Hint: hint, Err: err}
}

// Refused marks err as terminal: asking again gives the same answer.
func Refused(reason string, err error, hint string) error {
	return &Error{Kind: KindRefused, Reason: reason, Hint: hint, Err: err}
}

// Unverified marks err as a failed verification of something that was deployed.
func Unverified(reason string, err error, hint string) error {
	return &Error{Kind: KindUnverified, Reason: reason, Hint: hint, Err: err}
}

// Of returns the outermost fault of err's chain: the caller nearest to the
// user knows best what the error means to them. An error without one is
// retryable and Unclassified. Of(nil) is the zero Error.
func Of(err error) Error {
	if err == nil {
		return Error{}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return Error{Kind: e.Kind, Reason: e.Reason, Hint: e.Hint, Err: err}
	}
	return Error{Kind: KindRetryable, Reason: Unclassified, Err: err}
}
