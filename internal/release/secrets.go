package release

import (
	"regexp"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/chart"
)

// secretValues are the values that must not show, of the caller and of the
// chart and its sub-charts.
func (d Deployment) secretValues() []string {
	found := secretValues(d.Values)
	var visit func(c *chart.Chart)
	visit = func(c *chart.Chart) {
		found = append(found, secretValues(c.Values)...)
		for _, sub := range c.Dependencies() {
			visit(sub)
		}
	}
	if d.Chart != nil {
		visit(d.Chart)
	}
	return found
}

// Keys of values.
var (
	// sensitiveKey is a key whose value is secret.
	sensitiveKey = regexp.MustCompile(`(?i:passw|passphrase|secret|token|credential|(private|api|access|signing|encryption)[_-]?key|(^|[_-])(pass|pwd|private)($|[_-]))|[a-z](Pass|Pwd|Private)($|[A-Z_-])`)
	// referringKey is a key that looks like one but whose value only says where
	// the secret is, or what it is like: secretName, passwordKey, tokenPath.
	referringKey = regexp.MustCompile(`(^|[a-z_-])([Nn]ames?|[Rr]efs?|[Rr]eference|[Ss]elector|[Pp]ath|[Ff]iles?|[Dd]ir|[Nn]amespace|[Tt]ype|[Cc]lass|[Pp]olicy|[Ll]ength|[Ee]xpiry|[Ee]xpiration|[Tt]tl|TTL|[Aa]nnotations|[Ll]abels)$` +
		`|^existing|(^|[_-]|[iI]mage)[pP]ull[_-]?[sS]ecrets?$|([Pp]assword|[Tt]oken|[Cc]redentials?)[_-]?[Kk]eys?$`)
)

// referenceKeys are the keys of a map that only names a Secret, and a key in it.
var referenceKeys = []string{"name", "key", "namespace", "kind", "apiVersion", "optional", "items", "enabled", "create", "annotations", "labels", "type"}

// secretValues finds the values whose keys say that they are secret. The name of
// a Secret is none: without it, an error would not say what is wrong.
func secretValues(values map[string]any) []string {
	var found []string
	var walk func(value any, secret bool)
	walk = func(value any, secret bool) {
		switch v := value.(type) {
		case map[string]any:
			secret = secret && !isReference(v)
			for key, inner := range v {
				walk(inner, isSecret(key, secret))
			}
		case []any:
			for _, inner := range v {
				walk(inner, secret)
			}
		case string:
			if secret {
				found = append(found, v)
			}
		}
	}
	walk(values, false)
	return found
}

// isSecret reports whether what is under a key is secret. A key that says neither
// takes over what the keys above it said.
func isSecret(key string, above bool) bool {
	if sensitiveKey.MatchString(key) {
		return !referringKey.MatchString(key)
	}
	return above
}

// isReference: the map names an object and says nothing else.
func isReference(values map[string]any) bool {
	name, ok := values["name"].(string)
	if !ok || strings.TrimSpace(name) == "" {
		return false
	}
	for key := range values {
		if !slices.Contains(referenceKeys, key) {
			return false
		}
	}
	return true
}
