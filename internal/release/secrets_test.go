package release

import (
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestRow46_ReferencesAreNoSecrets: what only says where a secret is stays in
// messages; the value "hidden" never does.
func TestRow46_ReferencesAreNoSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"names":     "secretName: shown\nexistingSecret: shown\nexistingSecretPasswordKey: shown\nauth: {existingSecret: shown, secretKeys: {adminPasswordKey: shown}}",
		"pulling":   "imagePullSecrets: [shown, {name: shown}]\nglobal: {pullSecrets: [shown], imagePullSecret: shown}",
		"env":       "env: [{name: A, valueFrom: {secretKeyRef: {name: shown, key: shown}}}]\nenvFrom: [{secretRef: {name: shown}}]",
		"volumes":   "volumes: [{name: v, secret: {secretName: shown}}]\nserviceAccountToken: {path: hidden}\ntokenPath: /var/run/shown\npasswordFile: /run/shown",
		"by name":   "secret: {name: shown, key: shown}\ncredentials: {name: shown}\ntoken: {type: shown, name: shown}",
		"others":    "bypass: shown\ncompass: shown\npassive: shown\nprivateSubnet: shown\nhost: shown\npasswordPolicy: shown",
		"passwords": "password: hidden\nrootPassword: hidden\ndbpassword: hidden\nPGPASSWORD: hidden\ndb_pass: hidden\nadminPass: hidden\npwd: hidden\npassphrase: hidden\nredis: {auth: {password: hidden}}",
		"keys":      "apiKey: hidden\napi_key: hidden\nsecretKey: hidden\nawsSecretAccessKey: hidden\naccess-key: hidden\nprivateKey: hidden\ntls: {private: hidden}\nsigningKey: hidden",
		"maps":      "secrets: {DB: hidden, list: [hidden]}\ntoken: hidden\nTOKEN: hidden\ngithubToken: hidden\ncredentials: {user: hidden, password: hidden}\nsecret: {name: hidden, value: hidden}",
	} {
		var values map[string]any
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			t.Fatal(err)
		}
		found := secretValues(values)
		if slices.ContainsFunc(found, func(v string) bool { return v != "hidden" }) {
			t.Errorf("%s: takes %q for secret", name, found)
		}
		if n := count(values); n != len(found) {
			t.Errorf("%s: finds %d of %d", name, len(found), n)
		}
	}
}

func count(value any) (n int) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			n += count(inner)
		}
	case []any:
		for _, inner := range v {
			n += count(inner)
		}
	case string:
		if v == "hidden" {
			n++
		}
	}
	return n
}
