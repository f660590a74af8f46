package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

func TestOutermostFaultDecides(t *testing.T) {
	cause := errors.New("403 Forbidden")
	inner := fault.Retryable("Network", cause, "try again")
	outer := fmt.Errorf("push: %w", fault.Refused("PushRejected", fmt.Errorf("send pack: %w", inner), "ask the owner"))

	got := fault.Of(outer)
	if got.Kind != fault.KindRefused || got.Reason != "PushRejected" || got.Hint != "ask the owner" {
		t.Errorf("Of = %+v, want the outer fault", got)
	}
	if got.Error() != "push: send pack: 403 Forbidden" {
		t.Errorf("the whole chain is the message, got %q", got.Error())
	}
	if !errors.Is(outer, cause) {
		t.Error("the cause is lost")
	}
}

func TestErrorWithoutFaultIsRetryable(t *testing.T) {
	if got := fault.Of(errors.New("boom")); got.Kind != fault.KindRetryable || got.Reason != fault.Unclassified {
		t.Errorf("Of = %+v", got)
	}
	if got := fault.Of(nil); got.Err != nil || got.Kind != 0 {
		t.Errorf("Of(nil) = %+v", got)
	}
}
