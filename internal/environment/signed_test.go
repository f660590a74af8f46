package environment_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/signature/signaturetest"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIwpxynQ3GGEANOCQumiswncH89vEwfSXkKaKxK2iy5g staging@example.com"

// recordKey makes a key with its public half.
func recordKey(t *testing.T) (*signature.Key, signature.PublicKey) {
	t.Helper()
	key, err := signature.Folder{SigningKey: signaturetest.SSH(t, "ed25519", "", "").Folder}.Key()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.Public()
	return key, public
}

// signed is a line of a note that key signed.
func signed(t *testing.T, key *signature.Key, state, version, finished string) string {
	t.Helper()
	var r environment.Record
	if err := json.Unmarshal([]byte(line(state, version, finished)), &r); err != nil {
		t.Fatal(err)
	}
	text, err := r.Line(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRow47_OnlySignedRecordsCount: where there is a key, a line that it did not
// sign, or not as it stands, is no record, and closes nothing either.
func TestRow47_OnlySignedRecordsCount(t *testing.T) {
	key, public := recordKey(t)
	stranger, _ := recordKey(t)
	good := signed(t, key, "verified", "1.0.0", "2026-03-02T10:00:00Z")
	later := signed(t, key, "failed", "1.0.0", "2026-03-02T11:00:00Z")
	torn := strings.TrimSuffix(line("verified", "1.0.0", "2026-03-02T10:00:00Z"), "}") + `,"signature":"`
	for name, c := range map[string]struct {
		line     string
		states   string // behind a verified one
		warnings int
	}{
		"signed":                   {later, "verified failed", 0},
		"unsigned":                 {line("failed", "1.0.0", "2026-03-02T11:00:00Z"), "verified", 1},
		"by a stranger":            {signed(t, stranger, "failed", "1.0.0", "2026-03-02T11:00:00Z"), "verified", 1},
		"another version":          {strings.Replace(later, "1.0.0", "1.0.1", 1), "verified", 1},
		"another state":            {strings.Replace(later, "failed", "verified", 1), "verified", 1},
		"another environment":      {strings.Replace(later, "staging", "production", 1), "verified", 1},
		"another time":             {strings.Replace(later, "T11", "T12", 1), "verified", 1},
		"a key in front":           {strings.Replace(later, "{", `{"state":"verified",`, 1), "verified", 1},
		"a key behind":             {strings.TrimSuffix(later, "}") + `,"state":"verified"}`, "verified", 1},
		"another's signature":      {torn + good[strings.LastIndex(good, `"signature":"`)+len(`"signature":"`):] + " ", "verified verified", 0},
		"a signature of something": {torn + later[strings.LastIndex(later, `"signature":"`)+len(`"signature":"`):], "verified", 1},
		"no signature":             {torn + `"}`, "verified", 1},
		"cut":                      {later[:len(later)-4], "verified", 1},
	} {
		t.Run(name, func(t *testing.T) {
			records, warnings := environment.ParseRecords(commit, good+"\n"+c.line+"\n", public)
			if states(records) != c.states || len(warnings) != c.warnings {
				t.Errorf("got %s, %v; want %s, %d warnings", states(records), warnings, c.states, c.warnings)
			}
		})
	}
	if records, _ := environment.ParseRecords(commit, good); states(records) != "verified" {
		t.Errorf("where nobody asks for signatures: %v", records)
	}
}

// TestRow47_ASignedRecordElsewhere: what was signed for one commit or
// environment says nothing of another, and an old record does not become new.
func TestRow47_ASignedRecordElsewhere(t *testing.T) {
	key, public := recordKey(t)
	good := signed(t, key, "verified", "1.0.0", "2026-03-02T10:00:00Z")
	failed := signed(t, key, "failed", "1.0.0", "2026-03-02T11:00:00Z")
	if records, _ := environment.ParseRecords(strings.Repeat("f", 40), good, public); len(records) != 0 {
		t.Errorf("on another commit it is %v", records)
	}
	env := production(t, "  after: [staging]\n")
	decide := func(upstream, note string) environment.Decision {
		records, _ := environment.ParseRecords(commit, note, public)
		env.After = []string{upstream}
		return env.Decide(promote, map[string]environment.Upstream{upstream: {Application: "user", Records: records}}, at("12:00"))
	}
	if d := decide("staging", good); !d.Open() {
		t.Errorf("the record itself does not open the gate: %v", d)
	}
	if d := decide("load", good); d.Open() {
		t.Error("a record of staging opens the gate behind another environment")
	}
	if d := decide("staging", good+"\n"+failed+"\n"+good); d.Open() {
		t.Error("an old verification that is written once more takes a failure back")
	}
}

func TestRecordKeys(t *testing.T) {
	for name, c := range map[string]struct {
		lines string
		keys  int
	}{
		"none":   {"", 0},
		"one":    {"  recordKey: " + publicKey + "\n", 1},
		"block":  {"  recordKey: |\n    " + publicKey + "\n", 1},
		"a list": {"  recordKey:\n  - " + publicKey + "\n  - '" + strings.TrimSuffix(publicKey, " staging@example.com") + "'\n", 2},
	} {
		file := parse(t, one(c.lines))
		if got := file.Environments[0].RecordKey; len(got) != c.keys || c.keys > 0 && got[0].String() != publicKey {
			t.Errorf("%s: got %v", name, got)
		}
		if again := asJSON(t, parse(t, asJSON(t, file))); again != asJSON(t, file) {
			t.Errorf("%s: as JSON it is another file: %s", name, again)
		}
	}
}

// TestRow47_RecordKeysThatAreNone: a key that cannot be read never stands for no
// key.
func TestRow47_RecordKeysThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ lines, want string }{
		"nothing":     {"  recordKey:\n", "recordKey: a text belongs here, not nothing"},
		"empty":       {"  recordKey: ''\n", "7:14: recordKey: it is no SSH public key"},
		"no keys":     {"  recordKey: []\n", "7:14: recordKey: a list of no keys"},
		"a mapping":   {"  recordKey: {key: a}\n", "7:14: recordKey: a list belongs here, not a mapping"},
		"two in one":  {"  recordKey: |\n    " + publicKey + "\n    " + publicKey + "\n", "recordKey: it is no SSH public key"},
		"cut":         {"  recordKey: " + publicKey[:40] + "\n", "recordKey: it is no SSH public key"},
		"with option": {"  recordKey: 'from=\"h\" " + publicKey + "'\n", "recordKey: it is no SSH public key"},
		"second":      {"  recordKey:\n  - " + publicKey + "\n  - nonsense\n", "9:5: recordKey: it is no SSH public key"},
		"a number":    {"  recordKey: [1]\n", "7:15: recordKey: a text belongs here, not a number"},
		"misspelt":    {"  recordkey: " + publicKey + "\n", `an environment has no key "recordkey"; did you mean recordKey?`},
		"weak":        {"  recordKey: " + signaturetest.SSH(t, "rsa", "1024", "").Public + "\n", "recordKey: an RSA key needs 2048 bits or more"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, one(c.lines), c.want) })
	}
}

// TestRow34_ManySignedRecords keeps reading a thousand records a matter of a moment.
func TestRow34_ManySignedRecords(t *testing.T) {
	key, public := recordKey(t)
	note := strings.Repeat(signed(t, key, "verified", "1.0.0", "2026-03-02T10:00:00Z")+"\n", 1000)
	start := time.Now()
	if records, _ := environment.ParseRecords(commit, note, public); len(records) != 1000 {
		t.Errorf("%d records", len(records))
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
