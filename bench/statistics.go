package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// number is what can be ordered and averaged.
type number interface{ ~int64 | ~float64 }

// quantile is by nearest rank: a value that was measured. It is 0 for nothing.
func quantile[N number](values []N, q float64) N {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[N])
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(0, rank-1)]
}

func median[N number](values []N) N { return quantile(values, 0.5) }

// of takes one number out of each sample.
func of[S any, N number](samples []S, number func(S) N) []N {
	numbers := make([]N, len(samples))
	for i, s := range samples {
		numbers[i] = number(s)
	}
	return numbers
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
