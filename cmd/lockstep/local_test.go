package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// TestServersThatFallSilent: a process that is stopped still accepts connections.
func TestServersThatFallSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := askStatus(t.Context(), silent.Addr().String(), time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
