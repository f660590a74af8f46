package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LeaseState is what a Lease object tells about one holder.
type LeaseState struct {
	Held  bool
	Lost  bool              // another holder took it before this one had ended it
	Since time.Time         // when the holder took it, zero when unknown
	Notes map[string]string // what the holder noted, also after it released or lost the lease
}

// ReadLease reads what a lease tells about a holder, which need not have it
// any more. Of one that released it nothing is known once another took it; of
// those that lost it, the last one is.
func (c *Client) ReadLease(ctx context.Context, name, holder string) (LeaseState, error) {
	lease, err := c.typed.CoordinationV1().Leases(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return LeaseState{}, nil
	}
	if err != nil {
		return LeaseState{}, fmt.Errorf("read lease %s/%s: %w", c.namespace, name, err)
	}
	state := LeaseState{Held: holderOf(lease) == holder, Notes: notesOf(lease)}
	if !state.Held && (holderOf(lease) != "" || lease.Annotations[notesBy] != holder) {
		return lostOf(lease, holder), nil
	}
	if lease.Spec.AcquireTime != nil {
		state.Since = lease.Spec.AcquireTime.Time
	}
	return state, nil
}

func notesOf(lease *coordination.Lease) map[string]string {
	notes := map[string]string{}
	for key, value := range lease.Annotations {
		if note, ok := strings.CutPrefix(key, notesPrefix); ok {
			notes[note] = value
		}
	}
	return notes
}

// lostNote is the annotation that keeps what the last holder that lost the lease had noted.
const lostNote = "lockstep.dev/lost"

type lost struct {
	Holder string            `json:"holder"`
	Since  time.Time         `json:"since,omitzero"`
	Notes  map[string]string `json:"notes,omitempty"`
}

// lostBy are the annotations of a lease that another holder takes.
func lostBy(lease *coordination.Lease) map[string]string {
	if holderOf(lease) == "" {
		if before, ok := lease.Annotations[lostNote]; ok {
			return map[string]string{lostNote: before}
		}
		return nil
	}
	by := lost{Holder: holderOf(lease), Notes: notesOf(lease)}
	if lease.Spec.AcquireTime != nil {
		by.Since = lease.Spec.AcquireTime.Time
	}
	text, err := json.Marshal(by)
	if err != nil {
		return nil // its texts came from JSON
	}
	return map[string]string{lostNote: string(text)}
}

// lostOf is what is known of a holder that lost the lease; the zero value of any other.
func lostOf(lease *coordination.Lease, holder string) LeaseState {
	var by lost
	if err := json.Unmarshal([]byte(lease.Annotations[lostNote]), &by); err != nil || by.Holder != holder {
		return LeaseState{}
	}
	return LeaseState{Lost: true, Since: by.Since, Notes: by.Notes}
}
