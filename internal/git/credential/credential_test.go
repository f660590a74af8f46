package credential

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

func folder(t *testing.T, files map[string]string) *Folder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLookup(t *testing.T) {
	const store = "https://one:p%40ss%2Fword@git.example.com\nnonsense\nhttps://two:second@git.example.com/acme/app.git\nhttps://port:p@git.example.com:8443\nhttp://plain:p@git.example.com\n" +
		"http://git:p%40%3aw@git.example.com%3a3000\nhttp://six:p@%5b%3a%3a1%5d%3a3000/x%20y\nhttps://trap:p@evil.example.com%2fx"
	usePath := "[credential \"https://git.example.com/acme/app\"]\n\tuseHttpPath = true\n"
	for _, test := range []struct {
		name, config, url, user, password string
	}{
		{"the host", "", "https://git.example.com/x.git", "one", "p@ss/word"},
		{"default port", "", "https://git.example.com:443/x.git", "one", "p@ss/word"},
		{"case", "", "https://GIT.example.com/x.git", "one", "p@ss/word"},
		{"another port", "", "https://git.example.com:8443/x.git", "port", "p"},
		{"another scheme", "", "http://git.example.com/x.git", "plain", "p"},
		{"a port as git writes it", "", "http://git.example.com:3000/x.git", "git", "p@:w"},
		{"an address as git writes it", "", "http://[::1]:3000/x.git", "six", "p"},
		{"a slash in the host", "", "https://evil.example.com/x.git", "", ""},
		{"another host", "", "https://example.com/x.git", "", ""},
		{"a suffix is another host", "", "https://git.example.com.evil.example/x.git", "", ""},
		{"a path says nothing by itself", "", "https://git.example.com/acme/app.git", "one", "p@ss/word"},
		{"a path counts where told", usePath, "https://git.example.com/acme/app.git/info/refs?service=git-upload-pack", "two", "second"},
		{"not for its neighbours", usePath, "https://git.example.com/acme/application.git", "one", "p@ss/word"},
		{"a user name chooses", "[credential \"https://git.example.com\"]\n\tusername = two\n", "https://git.example.com/x", "two", "second"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			user, password, ok := folder(t, map[string]string{".git-credentials": store, ".gitconfig": test.config}).Lookup(u, u)
			if user != test.user || password != test.password || ok != (test.user != "") {
				t.Errorf("got %q %q %v", user, password, ok)
			}
		})
	}
}

func TestASecretWithoutAHostIsForOneHost(t *testing.T) {
	f := folder(t, map[string]string{"username": "robot\n", "password": "token\n"})
	home, _ := url.Parse("https://git.example.com/acme/app.git")
	away, _ := url.Parse("https://evil.example.com/acme/app.git")
	if user, password, ok := f.Lookup(home, home); !ok || user != "robot" || password != "token" {
		t.Errorf("got %q %q %v", user, password, ok)
	}
	if _, _, ok := f.Lookup(away, home); ok {
		t.Error("the secret is for another host")
	}
}

func TestRewriteTakesTheLongestPrefix(t *testing.T) {
	f := folder(t, map[string]string{".gitconfig": "[url \"git@host:\"]\n\tinsteadOf = https://host/\n[url \"git@host--acme:acme/\"]\n\tinsteadOf = https://host/acme/\n"})
	for from, to := range map[string]string{
		"https://host/x/y": "git@host:x/y", "https://host/acme/y": "git@host--acme:acme/y", "https://other/x": "https://other/x",
	} {
		if got := f.Rewrite(from); got != to {
			t.Errorf("%s: got %s, want %s", from, got, to)
		}
	}
}

func TestSSHHost(t *testing.T) {
	dir := t.TempDir()
	text := "# c\nHost *.internal !bad.internal\n  User deploy\n  Port=2222\nHost git.example.com--acme\n\tHostName git.example.com\n\tIdentityFile ~/.ssh/id_acme\n" +
		"Host *\n  User fallback\n  StrictHostKeyChecking no\nMatch user x\n  Port 1\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Host{
		"a.internal":            {HostName: "a.internal", Port: "2222", User: "deploy", AcceptAnyKey: true},
		"bad.internal":          {HostName: "bad.internal", Port: "22", User: "fallback", AcceptAnyKey: true},
		"git.example.com--acme": {HostName: "git.example.com", Port: "22", User: "fallback", AcceptAnyKey: true},
	} {
		got, err := SSHHost([]string{dir}, name)
		if err != nil {
			t.Fatal(err)
		}
		if got.HostName != want.HostName || got.Port != want.Port || got.User != want.User || got.AcceptAnyKey != want.AcceptAnyKey {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
