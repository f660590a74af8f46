package runner

import (
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

func TestMaskHidesReferencesAndLosesNothing(t *testing.T) {
	for _, text := range []string{"", "plain", "$", "$5", "$(a)", "$$(a)", "$(a$(tasks.b.results.c))", "$\x00(a)", "$\x00\x00", "\x00(", "a$", "é$(x)\n"} {
		masked := mask(text)
		if refs := pipelinev1.VariableSubstitutionRegex.FindAllString(masked, -1); refs != nil {
			t.Errorf("%q: Tekton finds %q", text, refs)
		}
		if got := unmask(masked); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestExpand: the kubelet makes no difference between what an author wrote and
// what a parameter's value brought in.
func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "$(A)"}
	for text, want := range map[string]string{
		"$(A)": "1", "$$(A)": "$(A)", "$(B)": "$(A)", "$(C)": "$(C)", "$": "$", "$$": "$", "a$b$(A": "a$b$(A", "$()": "$()", "$(A)$(A)$": "11$",
	} {
		if got := expand(text, values); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := unmask(expand(mask(text), values)); got != want {
			t.Errorf("%q, masked: %q, want %q", text, got, want)
		}
	}
}
