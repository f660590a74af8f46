package retry_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/retry"
)

func TestRow08_WhatAnAnswerAsksFor(t *testing.T) {
	server := time.Date(2031, 4, 5, 6, 7, 8, 0, time.UTC) // not this machine's time
	date := server.Format(http.TimeFormat)
	in := func(d time.Duration) string { return server.Add(d).Format(http.TimeFormat) }
	unix := func(d time.Duration) string { return strconv.FormatInt(server.Add(d).Unix(), 10) }
	for name, c := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"nothing":                     {nil, 0},
		"seconds":                     {map[string]string{"Retry-After": "20"}, 20 * time.Second},
		"blanks":                      {map[string]string{"Retry-After": " 20 "}, 20 * time.Second},
		"no time":                     {map[string]string{"Retry-After": "0"}, 0},
		"negative":                    {map[string]string{"Retry-After": "-5"}, 0},
		"words":                       {map[string]string{"Retry-After": "soon"}, 0},
		"years":                       {map[string]string{"Retry-After": "9999999999"}, retry.LongestAfter},
		"more than a number holds":    {map[string]string{"Retry-After": "99999999999999999999999"}, retry.LongestAfter},
		"a date":                      {map[string]string{"Retry-After": in(time.Minute), "Date": date}, time.Minute},
		"a date that has passed":      {map[string]string{"Retry-After": in(-time.Minute), "Date": date}, 0},
		"a date far away":             {map[string]string{"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": date}, retry.LongestAfter},
		"GitHub's limit":              {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": unix(90 * time.Second), "Date": date}, 90 * time.Second},
		"GitHub's limit, just over":   {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": unix(-time.Second), "Date": date}, time.Second},
		"GitHub's limit, not used up": {map[string]string{"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": unix(time.Minute), "Date": date}, 0},
		"a limit for ever":            {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9223372036854775807", "Date": date}, retry.LongestAfter},
		"both":                        {map[string]string{"Retry-After": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": unix(time.Minute), "Date": date}, 5 * time.Second},
	} {
		h := http.Header{}
		for key, value := range c.header {
			h.Set(key, value)
		}
		if got := retry.After(h); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestRow08_ADateWithoutTheServersClock counts from this machine's.
func TestRow08_ADateWithoutTheServersClock(t *testing.T) {
	h := http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}
	if got := retry.After(h); got < 59*time.Minute || got > time.Hour {
		t.Errorf("got %s", got)
	}
}

func TestRow08_WhatMayBeDoneAgainWhateverItIs(t *testing.T) {
	for status, c := range map[int]struct{ silent, told bool }{
		429: {true, true}, 503: {true, true}, 403: {false, true}, 401: {}, 404: {}, 409: {}, 500: {}, 502: {}, 504: {},
	} {
		if retry.Busy(status, 0) != c.silent || retry.Busy(status, time.Second) != c.told {
			t.Errorf("%d: %v, and with a time %v", status, retry.Busy(status, 0), retry.Busy(status, time.Second))
		}
	}
}
