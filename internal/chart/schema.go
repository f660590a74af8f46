package chart

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Bounds of the $refs in one values.schema.json: in a direct chain, and in all.
// Each is a nested call of the validator, which has no limit of its own.
const (
	maxReferenceChain = 500
	maxReferences     = 20_000
)

// checkSchemas looks into the schemas of a chart and its sub-charts before any
// validator does.
func checkSchemas(c *Chart) error {
	if err := checkSchema(c.Schema); err != nil {
		return fmt.Errorf("values.schema.json of %s: %w", c.Name(), err)
	}
	for _, sub := range c.Dependencies() {
		if err := checkSchemas(sub); err != nil {
			return err
		}
	}
	return nil
}

func checkSchema(content []byte) error {
	if len(content) == 0 {
		return nil
	}
	var root any
	if err := json.Unmarshal(content, &root); err != nil {
		return schemaFault(fmt.Errorf("it is not JSON: %w", err))
	}
	r := references{}
	if err := r.collect(root, "#"); err != nil {
		return err
	}
	for pointer := range r {
		if err := r.follow(pointer); err != nil {
			return err
		}
	}
	return nil
}

// references are the $refs of a schema by the JSON pointer of their object.
type references map[string]string

func (r references) collect(node any, pointer string) error {
	switch node := node.(type) {
	case map[string]any:
		if target, ok := node["$ref"].(string); ok {
			if err := r.add(pointer, target); err != nil {
				return err
			}
		}
		for key, child := range node {
			if err := r.collect(child, pointer+"/"+escape(key)); err != nil {
				return err
			}
		}
	case []any:
		for i, child := range node {
			if err := r.collect(child, fmt.Sprintf("%s/%d", pointer, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r references) add(pointer, target string) error {
	if len(r) >= maxReferences {
		return schemaFault(fmt.Errorf("it has more than %d $ref: %w", maxReferences, ErrUnsafe))
	}
	r[pointer] = target
	return checkReference(target)
}

// escape writes a key as a part of a JSON pointer (RFC 6901).
func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// checkReference refuses to let a chart name files of the machine that deploys it.
func checkReference(target string) error {
	if strings.HasPrefix(strings.ToLower(target), "file:") || strings.HasPrefix(target, "/") {
		return schemaFault(fmt.Errorf("$ref %q names a file of this machine: %w", target, ErrUnsafe))
	}
	return nil
}

// follow refuses a chain that is long or has no end.
func (r references) follow(pointer string) error {
	start := pointer
	for steps := 0; ; steps++ {
		next, ok := r[pointer]
		if !ok {
			return nil
		}
		if steps > maxReferenceChain {
			return schemaFault(fmt.Errorf("the $ref at %s leads through more than %d others: %w", start, maxReferenceChain, ErrUnsafe))
		}
		pointer = next
	}
}

func schemaFault(err error) error {
	return fault.Refused("SchemaRefused", err, "A schema may refer to its own definitions and to https addresses.")
}
