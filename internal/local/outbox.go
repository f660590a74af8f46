package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

// outbox sends webhooks, those of one repository in the order of its pushes.
type outbox struct {
	journal      *journal
	repositories *Repositories
	base         string // this server's address
	client       *http.Client
	log          *slog.Logger
	patience     time.Duration // how long a delivery is tried

	mu      sync.Mutex
	ctx     context.Context // nil until start
	queues  map[string][]Delivery
	senders sync.WaitGroup
}

func newOutbox(j *journal, r *Repositories, base string, log *slog.Logger) *outbox {
	return &outbox{
		journal: j, repositories: r, base: base, log: log, patience: time.Minute, queues: map[string][]Delivery{},
		client: &http.Client{
			Timeout: 30 * time.Second,
			// A signature is for the address that was set, not for one that it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// start sends until ctx ends, first what the last server left.
func (o *outbox) start(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ctx = ctx
	for _, d := range o.journal.list() {
		if d.State == Pending {
			o.enqueue(d)
		}
	}
}

// wait returns when nothing is being sent any more.
func (o *outbox) wait() { o.senders.Wait() }

// withoutLogin is the pusher where there was no login.
const withoutLogin = "local"

// add notes a delivery for every change and webhook, and sends them soon.
func (o *outbox) add(repository, pusher string, changes []change) error {
	hooks, err := o.repositories.Webhooks(repository)
	if err != nil {
		return err
	}
	if pusher == "" {
		pusher = withoutLogin
	}
	var fresh []Delivery
	for _, c := range changes {
		for _, h := range hooks {
			fresh = append(fresh, Delivery{
				ID: newID(), Repository: repository, URL: h.URL, Ref: c.ref, Before: c.before, After: c.after,
				Pusher: pusher, State: Pending, Created: time.Now().UTC(),
			})
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	// They are sent also where they cannot be noted.
	err = o.journal.put(fresh...)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range fresh {
		o.enqueue(d)
	}
	return err
}

// enqueue is called with mu held.
func (o *outbox) enqueue(d Delivery) {
	queue, sending := o.queues[d.Repository]
	o.queues[d.Repository] = append(queue, d)
	if !sending && o.ctx.Err() == nil {
		o.senders.Go(func() { o.drain(o.ctx, d.Repository) })
	}
}

func (o *outbox) drain(ctx context.Context, repository string) {
	for {
		d, ok := o.next(ctx, repository)
		if !ok {
			return
		}
		o.deliver(ctx, d)
	}
}

func (o *outbox) next(ctx context.Context, repository string) (Delivery, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue := o.queues[repository]
	if len(queue) == 0 || ctx.Err() != nil {
		delete(o.queues, repository)
		return Delivery{}, false
	}
	o.queues[repository] = queue[1:]
	return queue[0], true
}

// deliver tries until the receiver took the webhook or refused it, or until
// patience ends. When ctx ends the delivery stays pending.
func (o *outbox) deliver(ctx context.Context, d Delivery) {
	policy := retry.Policy{For: o.patience, Longest: 5 * time.Second, Of: "the webhook's receiver", Log: o.log, Hide: d.hide}
	err := policy.Do(ctx, judge, func(ctx context.Context) error { return o.attempt(ctx, &d) })
	if ctx.Err() != nil {
		return
	}
	d.State, d.Finished = Delivered, time.Now().UTC()
	if err != nil {
		d.State = Abandoned
	}
	o.note(d)
}

// judge: what is not refused may be taken later.
func judge(err error) (after time.Duration, again bool) {
	if b, said := errors.AsType[*busy](err); said {
		after = b.after
	}
	return after, !errors.Is(err, errRefused)
}

// attempt notes what came of it, unless that ends the delivery.
func (o *outbox) attempt(ctx context.Context, d *Delivery) error {
	d.Attempts++
	status, err := o.send(ctx, *d)
	if ctx.Err() != nil {
		return err
	}
	d.Status, d.Error = status, ""
	if err == nil {
		return nil
	}
	d.Error = err.Error()
	if !errors.Is(err, errRefused) {
		o.note(*d)
	}
	return err
}

func (o *outbox) note(d Delivery) {
	shown := d.shown()
	o.log.Info("webhook", "state", d.State, "repository", d.Repository, "ref", d.Ref, "url", shown.URL, "status", d.Status, "error", shown.Error)
	if err := o.journal.put(d); err != nil {
		o.log.Error("note a delivery", "error", err)
	}
}

// newID is a random UUID, as receivers expect it.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
