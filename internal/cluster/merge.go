package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// A strategic merge patch finds the items of a list by one key. That key is not
// always unique: a Service may have one port for TCP and for UDP, a container
// may name a variable twice. The patch then changes or deletes the wrong item,
// without an error. This file merges such objects item by item instead, and
// describes the result with a JSON merge patch, which replaces lists as a whole.

// tree is an object, or an item of a list in it.
type tree = map[string]any

// ambiguous reports whether a list with a merge key has two items of one key,
// in any of the objects.
func ambiguous(keys strategicpatch.LookupPatchMeta, objects ...tree) bool {
	return slices.ContainsFunc(keysOf(objects...), func(key string) bool {
		var maps []tree
		var lists [][]any
		for _, o := range objects {
			switch value := o[key].(type) {
			case tree:
				maps = append(maps, value)
			case []any:
				lists = append(lists, value)
			}
		}
		return ambiguousMaps(keys, key, maps) || ambiguousLists(keys, key, lists)
	})
}

func ambiguousMaps(keys strategicpatch.LookupPatchMeta, key string, maps []tree) bool {
	if len(maps) == 0 {
		return false
	}
	below, _, err := keys.LookupPatchMetadataForStruct(key)
	return err == nil && ambiguous(below, maps...) // an error: a field without a schema merges nothing by key
}

func ambiguousLists(keys strategicpatch.LookupPatchMeta, key string, lists [][]any) bool {
	if len(lists) == 0 {
		return false
	}
	below, mergeKey := mergeKeyOf(keys, key)
	if mergeKey == "" {
		return false
	}
	var items []tree
	for _, list := range lists {
		seen := map[string]bool{}
		for _, item := range itemsOf(list) {
			id := fmt.Sprint(item[mergeKey])
			if seen[id] {
				return true
			}
			seen[id] = true
			items = append(items, item)
		}
	}
	return ambiguous(below, items...)
}

// mergeKeyOf is the key by which a patch merges the items of a list, "" for
// lists that are replaced or that hold no objects.
func mergeKeyOf(keys strategicpatch.LookupPatchMeta, key string) (strategicpatch.LookupPatchMeta, string) {
	below, meta, err := keys.LookupPatchMetadataForSlice(key)
	if err != nil || !slices.Contains(meta.GetPatchStrategies(), "merge") {
		return nil, ""
	}
	return below, meta.GetPatchMergeKey()
}

func itemsOf(list []any) []tree {
	var items []tree
	for _, item := range list {
		if item, ok := item.(tree); ok {
			items = append(items, item)
		}
	}
	return items
}

// mergedPatch is the JSON merge patch that takes live to the merged object. The
// objects are used up.
func mergedPatch(keys strategicpatch.LookupPatchMeta, old, target, live tree) ([]byte, error) {
	before, err := json.Marshal(live)
	if err != nil {
		return nil, err
	}
	wanted, err := merged(keys, old, target, live)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	return jsonmergepatch.CreateThreeWayJSONMergePatch(before, after, before)
}

// merged is live with what target says and without what only old says. What is
// ambiguous is merged here, the rest as the API server does it.
func merged(keys strategicpatch.LookupPatchMeta, old, target, live tree) (tree, error) {
	here := tree{}
	for key, value := range target {
		result, err := mergedField(keys, key, old[key], value, live[key])
		if err != nil {
			return nil, err
		}
		if result != nil {
			here[key] = result
		}
	}
	for key := range here {
		delete(old, key)
		delete(target, key)
		delete(live, key)
	}
	rest, err := strategic(keys, old, target, live)
	if err != nil {
		return nil, err
	}
	maps.Copy(rest, here)
	return rest, nil
}

// mergedField is nil for a field in which nothing is ambiguous.
func mergedField(keys strategicpatch.LookupPatchMeta, key string, old, target, live any) (any, error) {
	switch target := target.(type) {
	case tree:
		oldTree, liveTree := asTree(old), asTree(live)
		if !ambiguousMaps(keys, key, []tree{oldTree, target, liveTree}) {
			return nil, nil
		}
		below, _, err := keys.LookupPatchMetadataForStruct(key)
		if err != nil {
			return nil, err
		}
		return merged(below, oldTree, target, liveTree)
	case []any:
		oldList, _ := old.([]any)
		liveList, _ := live.([]any)
		if !ambiguousLists(keys, key, [][]any{oldList, target, liveList}) {
			return nil, nil
		}
		below, mergeKey := mergeKeyOf(keys, key)
		return mergedItems(below, mergeKey, itemsOf(oldList), itemsOf(target), itemsOf(liveList))
	}
	return nil, nil
}

func asTree(value any) tree {
	if found, ok := value.(tree); ok {
		return found
	}
	return tree{}
}

// mergedItems are target's items in their order, each merged into the live item
// that it means, and behind them the live items that others added.
func mergedItems(keys strategicpatch.LookupPatchMeta, mergeKey string, old, target, live []tree) ([]any, error) {
	ours := map[string]bool{}
	for _, item := range slices.Concat(old, target) {
		ours[identity(item, mergeKey)] = true
	}
	result := []any{}
	var others []any
	for _, item := range live {
		if !ours[identity(item, mergeKey)] {
			others = append(others, item)
		}
	}
	oldItems, liveItems := numbered(old, mergeKey), numbered(live, mergeKey)
	for id, item := range ordered(target, mergeKey) {
		item, err := merged(keys, asTree(oldItems[id]), item, asTree(liveItems[id]))
		if err != nil {
			return nil, err
		}
		result = append(result, item)
	}
	return append(result, others...), nil
}

// identity tells the items of a list apart as the API server does: by more than
// the merge key of a patch where that is not enough.
func identity(item tree, mergeKey string) string {
	more := ""
	switch mergeKey {
	case "port", "containerPort":
		more, _ = item["protocol"].(string)
		more = cmp.Or(more, "TCP")
	case "topologyKey":
		more, _ = item["whenUnsatisfiable"].(string)
	}
	return fmt.Sprintf("%v/%s", item[mergeKey], more)
}

// place is an item's identity and, for lists that allow it twice, how many of
// that identity stand before it.
type place struct {
	identity string
	before   int
}

// ordered yields the items with their places.
func ordered(items []tree, mergeKey string) func(yield func(place, tree) bool) {
	return func(yield func(place, tree) bool) {
		count := map[string]int{}
		for _, item := range items {
			id := identity(item, mergeKey)
			if !yield(place{id, count[id]}, item) {
				return
			}
			count[id]++
		}
	}
}

func numbered(items []tree, mergeKey string) map[place]any {
	found := map[place]any{}
	for id, item := range ordered(items, mergeKey) {
		found[id] = item
	}
	return found
}

// strategic merges as the API server does for a strategic merge patch.
func strategic(keys strategicpatch.LookupPatchMeta, old, target, live tree) (tree, error) {
	patch, current, err := strategicPatch(keys, old, target, live)
	if err != nil {
		return nil, err
	}
	text, err := strategicpatch.StrategicMergePatchUsingLookupPatchMeta(current, patch, keys)
	if err != nil {
		return nil, err
	}
	result := tree{}
	return result, utiljson.Unmarshal(text, &result)
}

// strategicPatch is a three-way strategic merge patch, and the live object that
// it is for.
func strategicPatch(keys strategicpatch.LookupPatchMeta, old, target, live tree) (patch, current []byte, err error) {
	before, err1 := json.Marshal(old)
	wanted, err2 := json.Marshal(target)
	current, err3 := json.Marshal(live)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, nil, err
	}
	patch, err = strategicpatch.CreateThreeWayMergePatch(before, wanted, current, keys, true)
	return patch, current, err
}
