package redact_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/redact"
)

const canary = "c4nary/T0ken+x"

func TestRow46_URLLosesItsUserinfo(t *testing.T) {
	for in, want := range map[string]string{
		"https://bot:" + "secret" + "@git.example.com/acme/app.git?x=1": "https://git.example.com/acme/app.git?x=1",
		"https://token@git.example.com/acme":                            "https://git.example.com/acme",
		"https://git.example.com/acme/app":                              "https://git.example.com/acme/app",
		"ssh://git@git.example.com:2222/acme":                           "ssh://git.example.com:2222/acme",
		"git@git.example.com:acme/app.git":                              "git@git.example.com:acme/app.git",
		"https://a:b%zz@git.example.com/x":                              "https://git.example.com/x",
		"https://a:p@ss@git.example.com/x":                              "https://git.example.com/x",
		"":                                                              "",
	} {
		if got := redact.URL(in); got != want {
			t.Errorf("URL(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRow46_TextLosesSecrets(t *testing.T) {
	for _, in := range []string{
		"push to https://bot:" + canary + "@git.example.com/x failed",
		"Authorization: Bearer " + canary,
		"authorization=Basic " + canary,
		"server said: bad token " + canary,
		"GET /x?a=1&access_token=" + canary + "&b=2",
		"escaped c4nary%2FT0ken%2Bx here",
		"url:https://u:c4nary%2FT0ken+x@h/p",
	} {
		got := redact.Text(in, canary)
		if strings.Contains(got, "c4nary") || strings.Contains(got, "T0ken") {
			t.Errorf("Text(%q) = %q still holds the secret", in, got)
		}
	}
}

func TestTextKeepsTheRest(t *testing.T) {
	const in = "fetch https://git.example.com/acme/app@main: basic understanding, 2 of 3"
	if got := redact.Text(in, "", "ab"); got != in {
		t.Errorf("Text changed an innocent text: %q", got)
	}
}

func TestErrorKeepsItsChain(t *testing.T) {
	err := redact.Error(errors.Join(io.EOF, errors.New("token "+canary)), canary)
	if !errors.Is(err, io.EOF) || strings.Contains(err.Error(), canary) {
		t.Errorf("Error = %v", err)
	}
	if redact.Error(nil) != nil {
		t.Error("Error(nil) must be nil")
	}
}

// TestRow46_TextLosesWhatNobodyNamed: a server's message may hold credentials
// that the caller never saw.
func TestRow46_TextLosesWhatNobodyNamed(t *testing.T) {
	for _, in := range []string{
		"fatal: unable to access 'https://bot:" + canary[:6] + "%2F@git.example.com/x/': 403",
		"https://bot:p@ss" + canary[:6] + "@git.example.com",
		"Proxy-Authorization: Basic " + canary,
		"GET https://git.example.com/x?private_token=" + canary,
	} {
		if got := redact.Text(in); strings.Contains(got, "c4nary") {
			t.Errorf("Text(%q) = %q still holds the secret", in, got)
		}
	}
}
