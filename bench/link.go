package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is a way to a server with a round trip time: a proxy for TCP that holds
// every byte for half of it in each direction, and a new connection for one
// whole round trip, as the handshake would. Bandwidth is not limited. It
// counts what passes.
type link struct {
	listener    net.Listener
	target      string
	delay       atomic.Int64 // half a round trip, in nanoseconds
	connections atomic.Int64
	up, down    atomic.Int64 // bytes, with the HTTP headers
}

func newLink(target string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, target: target}
	go l.accept()
	return l, nil
}

func (l *link) url() string { return "http://" + l.listener.Addr().String() }

func (l *link) setRoundTrip(d time.Duration) { l.delay.Store(int64(d / 2)) }

func (l *link) close() error { return l.listener.Close() }

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.connections.Add(1)
		go l.connect(near)
	}
}

func (l *link) connect(near net.Conn) {
	defer near.Close()
	half := time.Duration(l.delay.Load())
	time.Sleep(2 * half)
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { carry(far, near, half, &l.up) })
	both.Go(func() { carry(near, far, half, &l.down) })
	both.Wait()
}

// parcel is a piece of the stream and when it arrives.
type parcel struct {
	content []byte
	due     time.Time
}

// carry moves bytes from one side to the other, each half a round trip later,
// with any number of them on the way. A side that went away takes both with it.
func carry(to, from net.Conn, half time.Duration, count *atomic.Int64) {
	way := make(chan parcel, 4096)
	go func() {
		defer close(way)
		for {
			piece := make([]byte, 32<<10)
			n, err := from.Read(piece)
			if n > 0 {
				count.Add(int64(n))
				way <- parcel{piece[:n], time.Now().Add(half)}
			}
			if err != nil {
				return
			}
		}
	}()
	gone := false
	for p := range way {
		if gone {
			continue // what is on the way is lost
		}
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.content); err != nil {
			gone = true
			from.Close()
			to.Close()
		}
	}
	time.Sleep(half)
	if closer, ok := to.(*net.TCPConn); ok && !gone {
		closer.CloseWrite()
	}
}
