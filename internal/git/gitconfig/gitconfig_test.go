package gitconfig

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// git lists what the git program reads in a file: key, newline, value. ok is
// false where it reads nothing.
func git(t *testing.T, text []byte) (listed []string, ok bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("git", "config", "--file", file, "--no-includes", "--null", "--list")
	cmd.Stdout = &out
	if cmd.Run() != nil {
		return nil, false
	}
	for entry := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\x00"), "\x00") {
		if entry != "" && !nameless(entry) {
			listed = append(listed, entry)
		}
	}
	return listed, true
}

// ours lists a file in the same form.
func ours(f *File) (listed []string) {
	for _, s := range f.settings {
		name := s.section + "."
		if s.subsection != "" {
			name += s.subsection + "."
		}
		if entry := name + s.key + "\n" + s.value; !nameless(entry) {
			listed = append(listed, entry)
		}
	}
	return listed
}

// nameless reports whether a section or a subsection is called "". Those are not
// kept; the git program's list does not tell them from some that have dots.
func nameless(entry string) bool {
	name, _, _ := strings.Cut(entry, "\n")
	return !strings.Contains(name, ".") || strings.HasPrefix(name, ".") || strings.Contains(name, "..")
}

// same compares, where a key without a value is "true" for us. Before version
// 2.45 git made one blank of each that stood between words.
func same(theirs, ours []string) bool {
	blanks := strings.NewReplacer("\t", " ", "\r", " ")
	return slices.EqualFunc(theirs, ours, func(a, b string) bool {
		a, b = blanks.Replace(a), blanks.Replace(b)
		return a == b || !strings.Contains(a, "\n") && a+"\ntrue" == b
	})
}

var samples = []string{
	"", "\n\n", "# nothing\n; at all", "[a]\nb = c", "[a]\n\tb = c d  \n", "[a]b=c\n", "[A \"B\"]\nC = D\n", "[a.B]\nc = d\n", "[a.b.c]\nd = e\n",
	"[a]\nb\n", "[a]\nb = \n", "[a]\nb = # nothing\n", "[a]\nb = \"x # y\" ; z\n", "[a]\nb = x # y\n", "[a]\nb = x;y\n", "[a]\nb = \"  x  \"  \n",
	"[a]\nb = x\\\n  y\n", "[a]\nb = \"x\\\ny\"\n", "[a]\nb = \\t\\n\\b\\\\\\\"\n", "[a]\nb = \\x\n", "[a]\nb = \"x\n", "[a]\nb = x\"y z\"w\n", "[a]\nb = x\r\nc = y\r\n",
	"[a]\r\nb = x\ry\r\n", "[a \"b\\\"c\\\\d\\e\"]\nf = g\n", "[a \"b]c#;\"]\nd = e\n", "[a \"b\nc\"]\nd = e\n", "[a \"\"]\nb = c\n", "[a  \"b\"]\nc = d\n", "[a \"b\" ]\nc = d\n",
	"[a b]\nc = d\n", "[ a]\nb = c\n", "[]\na = b\n", "[a\nb = c\n", "a = b\n", "[a]\n1b = c\n", "[a]\nb_c = d\n", "[a]\nb-c1 = d\n", "[a]\n= b\n", "[a]\nb c\n", "[a]\nb # c\n",
	"\xef\xbb\xbf[a]\nb = c\n", "[a]\nb = \xff\xfe\n", "[a]\nb = c\n[a]\nb = d\n", "[a]\nb = \x0b c\n", "[a]\nb = c\t \td\n", "[a]\nb = \"\"\n", "[a]\nb = \\", "[a]\nb", "[a] b = c\n", "[-]\nb = c\n", "[1]\nb = c\n", "[.a]\nb = c\n", "[a.]\nb = c\n",
	"[alias]\n\tup = \"!f() { git fetch && git rebase; }; f\"\n[credential \"https://x\"]\n\thelper = \n\thelper = !gh auth\n",
}

func TestTheGitProgramReadsTheSame(t *testing.T) {
	for _, text := range samples {
		agree(t, []byte(text))
	}
}

func agree(t *testing.T, text []byte) {
	t.Helper()
	theirs, readable := git(t, text)
	f, err := Parse(text)
	if !readable {
		if err == nil {
			t.Errorf("%q: git does not read it, and it came to %q", text, ours(f))
		} else if !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", text, err)
		}
		return
	}
	if err != nil {
		t.Errorf("%q: git reads %q, and it came to %v", text, theirs, err)
		return
	}
	if got := ours(f); !same(theirs, got) {
		t.Errorf("%q: git reads %q, and it came to %q", text, theirs, got)
	}
}

// names are what branches, URLs and submodules are called.
var names = []string{
	"main", "feature/#123-login", "fix/a;b", "x#", "#", ";", `a"b`, `a\b`, `\`, `"`, "a]b", "[a]", " a ", "\ta", "a ", "a = b", "a.b", "ä/ö", "\xff", "\u00a0", "\ufeff", "%s", "$(id)", "'a'", "a\tb", "n\\n",
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for _, name := range names {
		text := []byte(Header("branch", name) + "\n\tmerge = " + Value(name) + "\n")
		agree(t, text)
		f, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got := f.Get("branch", name, "merge"); got != name || !slices.Equal(f.Subsections("Branch"), []string{name}) {
			t.Errorf("%q was read back as %q of %q", name, got, f.Subsections("branch"))
		}
	}
	for _, value := range []string{"a\nb", "a\bb", ""} {
		text := []byte("[a]\n\tb = " + Value(value) + "\n")
		agree(t, text)
		if f, err := Parse(text); err != nil || f.Get("a", "", "b") != value {
			t.Errorf("%q: %v %v", value, f, err)
		}
	}
}

func TestTheLastValueCounts(t *testing.T) {
	f, err := Parse([]byte("[http]\n\tsslVerify = false\n[HTTP]\n\tsslverify\n[url \"a\"]\n\tinsteadOf = b\n\tinsteadOf = c\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Get("http", "", "sslVerify"); got != "true" {
		t.Errorf("got %q", got)
	}
	if got := f.All("url", "a", "insteadof"); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("got %q", got)
	}
	var none *File
	if none.Get("a", "", "b") != "" || none.Subsections("a") != nil {
		t.Error("a file that is not there says something")
	}
}

func TestAnErrorNamesTheLine(t *testing.T) {
	_, err := Parse([]byte("[a]\nb = c\n\nd = \"e\nf = g\n"))
	if !errors.Is(err, ErrSyntax) || !strings.HasPrefix(err.Error(), "line 4: ") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse looks for a text that the git program reads differently.
func FuzzParse(f *testing.F) {
	for _, text := range samples {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsRune(text, 0) {
			return // ends a string for the git program
		}
		agree(t, text)
	})
}
