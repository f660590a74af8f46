package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Sentinels of leases.
var (
	// ErrLeaseHeld: somebody else held the lease for all of the wait.
	ErrLeaseHeld = errors.New("lease is held")
	// ErrLeaseLost: the lease is no longer the caller's.
	ErrLeaseLost = errors.New("lease is not held any more")
)

// LeaseOptions describes a lease to be taken.
type LeaseOptions struct {
	Name   string        // of the Lease object, in the client's namespace
	Holder string        // who takes it; the holder of a lease may take it again
	For    time.Duration // when it may be believed dead unless extended; whole seconds
	Wait   time.Duration // how long to wait while somebody else holds it
	// Waiting is told who holds the lease, and until when at most, whenever
	// the wait begins anew. It may be nil.
	Waiting func(holder string, until time.Time)
}

// Lease is a coordination.k8s.io Lease that the holder has.
type Lease struct {
	client *Client
	name   string
	holder string
	// Previous is the holder that let the lease expire, "" when there is none:
	// what it was doing was cut off.
	Previous string
	// Notes are kept with the lease from the next Extend or Release until
	// somebody else takes it: what the holder has done, for ReadLease.
	Notes map[string]string
}

// Annotations of a Lease: who wrote the notes, and the notes.
const (
	notesBy     = "lockstep.dev/notes-by"
	notesPrefix = "note.lockstep.dev/"
)

// Acquire takes the lease, waiting while another holder's has not expired. All
// times are the server's. Every change is guarded by the resourceVersion, so
// two callers cannot both believe to have it. ErrLeaseHeld after Wait.
func (c *Client) Acquire(ctx context.Context, o LeaseOptions) (*Lease, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, max(o.Wait, time.Second), ErrLeaseHeld)
	defer cancel()
	holder := ""
	for {
		lease, held, err := c.take(ctx, o)
		switch {
		case err == nil && lease != nil:
			return lease, nil
		case context.Cause(ctx) == ErrLeaseHeld:
			return nil, fault.Retryable("LeaseHeld",
				fmt.Errorf("wait %s for lease %s/%s held by %s: %w", o.Wait, c.namespace, o.Name, holder, ErrLeaseHeld),
				"another deployment of this release is under way; wait for it, or raise lease-timeout")
		case err != nil:
			return nil, err
		case held == nil: // lost a race: look again
			continue
		}
		if now := holderOf(held); now != holder && o.Waiting != nil {
			o.Waiting(now, expiry(held))
		}
		holder = holderOf(held)
		c.awaitChange(ctx, held)
	}
}

// take tries once. It returns the lease, or the object that somebody else
// holds, or neither when the object changed in between.
func (c *Client) take(ctx context.Context, o LeaseOptions) (*Lease, *coordination.Lease, error) {
	leases := c.typed.CoordinationV1().Leases(c.namespace)
	found, err := leases.Get(ctx, o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		fresh := &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: o.Name}}
		c.fill(fresh, o)
		_, err = leases.Create(ctx, fresh, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil, nil, nil
		}
		return c.taken(o, "", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read lease %s/%s: %w", c.namespace, o.Name, err)
	}
	previous := holderOf(found)
	if previous != "" && previous != o.Holder && c.Now().Before(expiry(found)) {
		return nil, found, nil
	}
	if previous == o.Holder {
		previous = ""
	}
	c.fill(found, o)
	_, err = leases.Update(ctx, found, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil, nil, nil
	}
	return c.taken(o, previous, err)
}

func (c *Client) taken(o LeaseOptions, previous string, err error) (*Lease, *coordination.Lease, error) {
	if err != nil {
		return nil, nil, fmt.Errorf("take lease %s/%s: %w", c.namespace, o.Name, err)
	}
	return &Lease{client: c, name: o.Name, holder: o.Holder, Previous: previous}, nil, nil
}

func (c *Client) fill(lease *coordination.Lease, o LeaseOptions) {
	now := metav1.NewMicroTime(c.Now())
	if holderOf(lease) != o.Holder {
		lease.Annotations = lostBy(lease) // and without the notes of a holder that ended it
		lease.Spec.AcquireTime = &now
		lease.Spec.LeaseTransitions = ptr(deref(lease.Spec.LeaseTransitions) + 1)
	}
	lease.Spec.HolderIdentity = ptr(o.Holder)
	lease.Spec.RenewTime = &now
	lease.Spec.LeaseDurationSeconds = ptr(int32(max(o.For, time.Second) / time.Second))
}

// awaitChange returns when the lease has changed or expired, or ctx has ended.
// A watch that breaks is no error: the caller looks again.
func (c *Client) awaitChange(ctx context.Context, held *coordination.Lease) {
	// One second more, because the server's clock is known to the second.
	ctx, cancel := context.WithTimeout(ctx, max(expiry(held).Sub(c.Now()), 0)+time.Second)
	defer cancel()
	watch, err := c.typed.CoordinationV1().Leases(c.namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector("metadata.name", held.Name).String(),
		ResourceVersion: held.ResourceVersion,
	})
	if err != nil {
		// Without the right to watch, expiry is what is left; a broken
		// connection is tried again soon.
		pause := time.Second
		if apierrors.IsForbidden(err) {
			pause = time.Until(deadline(ctx))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		return
	}
	defer watch.Stop()
	select {
	case <-ctx.Done():
	case <-watch.ResultChan():
	}
}

// Extend lets the lease last for d from now on. ErrLeaseLost when it is no
// longer the caller's.
func (l *Lease) Extend(ctx context.Context, d time.Duration) error {
	return l.client.change(ctx, l.name, l.holder, func(lease *coordination.Lease) {
		l.client.fill(lease, LeaseOptions{Holder: l.holder, For: d})
		l.annotate(lease)
	})
}

// Release ends the lease. ErrLeaseLost when it is no longer the caller's.
func (l *Lease) Release(ctx context.Context) error {
	return l.client.change(ctx, l.name, l.holder, func(lease *coordination.Lease) {
		lease.Spec.HolderIdentity = nil
		l.annotate(lease)
	})
}

func (l *Lease) annotate(lease *coordination.Lease) {
	before := lease.Annotations[lostNote]
	lease.Annotations = map[string]string{notesBy: l.holder}
	if before != "" {
		lease.Annotations[lostNote] = before
	}
	for key, value := range l.Notes {
		lease.Annotations[notesPrefix+key] = value
	}
}

// NoteLease adds notes to a lease that the holder has. ErrLeaseLost when it is
// not the holder's.
func (c *Client) NoteLease(ctx context.Context, name, holder string, notes map[string]string) error {
	return c.change(ctx, name, holder, func(lease *coordination.Lease) {
		for key, value := range notes {
			metav1.SetMetaDataAnnotation(&lease.ObjectMeta, notesPrefix+key, value)
		}
	})
}

// RenewLease lets a lease that the holder has last for its duration from now on, which it
// returns. ErrLeaseLost when it is not the holder's.
func (c *Client) RenewLease(ctx context.Context, name, holder string) (duration time.Duration, err error) {
	err = c.change(ctx, name, holder, func(lease *coordination.Lease) {
		now := metav1.NewMicroTime(c.Now())
		lease.Spec.RenewTime = &now
		duration = time.Duration(deref(lease.Spec.LeaseDurationSeconds)) * time.Second
	})
	return duration, err
}

// EndLease ends a lease that the holder has. The object stays, without a
// holder. ErrLeaseLost when it is not the holder's.
func (c *Client) EndLease(ctx context.Context, name, holder string) error {
	return c.change(ctx, name, holder, func(lease *coordination.Lease) {
		lease.Spec.HolderIdentity = nil
	})
}

// change alters a lease as long as it is the holder's.
func (c *Client) change(ctx context.Context, name, holder string, alter func(*coordination.Lease)) error {
	leases := c.typed.CoordinationV1().Leases(c.namespace)
	for {
		lease, err := leases.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && holderOf(lease) != holder {
			return fmt.Errorf("change lease %s/%s of %s: %w", c.namespace, name, holder, ErrLeaseLost)
		}
		if err != nil {
			return fmt.Errorf("read lease %s/%s: %w", c.namespace, name, err)
		}
		alter(lease)
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("change lease %s/%s: %w", c.namespace, name, err)
		}
		return nil
	}
}

func holderOf(lease *coordination.Lease) string { return deref(lease.Spec.HolderIdentity) }

// expiry is when the holder may be believed dead. A lease without the times
// that say so has expired.
func expiry(lease *coordination.Lease) time.Time {
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return time.Time{}
	}
	return lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
}

func deadline(ctx context.Context) time.Time {
	end, _ := ctx.Deadline()
	return end
}

func ptr[T any](v T) *T { return &v }

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
