package document

import (
	"fmt"
	"slices"
	"strings"
)

// OneOf takes one of these words, for Text.
func OneOf[T ~string](words ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if slices.Contains(words, T(text)) {
			return T(text), nil
		}
		names := make([]string, len(words))
		for i, word := range words {
			names[i] = string(word)
		}
		return "", fmt.Errorf("%s is not known here; %s", Quoted(text), Suggest(text, names))
	}
}

// Suggest lists what there is, or names what was probably meant.
func Suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return "did you mean " + near + "?"
	}
	switch {
	case len(known) == 0:
		return "there is none"
	case len(known) == 1:
		return "it is " + known[0]
	case len(known) > 20:
		return "there are " + strings.Join(known[:20], ", ") + " and more"
	}
	return "there are " + strings.Join(known, ", ")
}

// nearest is the known word that is at most two typing errors away from word,
// and not made of errors alone; "" when there is none.
func nearest(word string, known []string) string {
	best, fewest := "", 3
	for _, name := range known {
		if n := distance(strings.ToLower(word), strings.ToLower(name)); n < fewest && n*2 < len(name) {
			best, fewest = name, n
		}
	}
	return best
}

// distance counts the letters to add, take away or change. Words of very
// different lengths are not compared.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
