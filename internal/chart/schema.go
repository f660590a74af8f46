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
	references := map[string]string{} // pointer of an object → its $ref
	if err := collect(root, "#", references); err != nil {
		return err
	}
	if len(references) > maxReferences {
		return schemaFault(fmt.Errorf("it has %d $ref, more than %d: %w", len(references), maxReferences, ErrUnsafe))
	}
	for pointer := range references {
		if err := follow(pointer, references); err != nil {
			return err
		}
	}
	return nil
}

// collect notes every $ref with the JSON pointer of its object.
func collect(node any, pointer string, references map[string]string) error {
	switch node := node.(type) {
	case map[string]any:
		if target, ok := node["$ref"].(string); ok {
			if err := checkReference(target); err != nil {
				return err
			}
			references[pointer] = target
		}
		for key, child := range node {
			escaped := strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
			if err := collect(child, pointer+"/"+escaped, references); err != nil {
				return err
			}
		}
	case []any:
		for i, child := range node {
			if err := collect(child, fmt.Sprintf("%s/%d", pointer, i), references); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkReference refuses to let a chart name files of the machine that deploys it.
func checkReference(target string) error {
	if strings.HasPrefix(strings.ToLower(target), "file:") || strings.HasPrefix(target, "/") {
		return schemaFault(fmt.Errorf("$ref %q names a file of this machine: %w", target, ErrUnsafe))
	}
	return nil
}

func follow(pointer string, references map[string]string) error {
	start := pointer
	for steps := 0; ; steps++ {
		next, ok := references[pointer]
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
