package wire

import (
	"context"
	"sync"
)

// Client asks one repository through a transport. It remembers that a server
// speaks version 2, and how it takes pushes, which saves a request each further
// time. It may be used by several goroutines.
type Client struct {
	Transport Transport

	mu   sync.Mutex
	v2   *greeting
	push *greeting // of receive-pack
}

// List gives the refs whose names start with one of the prefixes.
func (c *Client) List(ctx context.Context, prefixes ...string) ([]Ref, error) {
	s, g, err := c.reading(ctx, func(r Ref) bool { return hasAnyPrefix(r.Name, prefixes) })
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if g.version == 2 {
		return listV2(ctx, s, prefixes)
	}
	return g.refs, nil
}

// Greet learns what the server speaks, ahead of a List or Fetch that then need
// not wait for it. It does nothing where each session greets anew.
func (c *Client) Greet(ctx context.Context) error {
	if c.Transport.Resume(ctx, UploadPack, 2) == nil {
		return nil
	}
	s, _, err := c.reading(ctx, func(Ref) bool { return false })
	if err != nil {
		return err
	}
	return s.Close()
}

// reading opens a session for upload-pack. keep chooses the refs that a
// version 0 server's greeting is to leave in memory.
func (c *Client) reading(ctx context.Context, keep func(Ref) bool) (Session, *greeting, error) {
	c.mu.Lock()
	known := c.v2
	c.mu.Unlock()
	if known != nil {
		if s := c.Transport.Resume(ctx, UploadPack, 2); s != nil {
			return s, known, nil
		}
	}
	s, err := c.Transport.Open(ctx, UploadPack, 2)
	if err != nil {
		return nil, nil, err
	}
	g, err := readGreeting(s.Greeting(), keep)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	if g.version == 2 {
		c.mu.Lock()
		c.v2 = g
		c.mu.Unlock()
	}
	return s, g, nil
}
