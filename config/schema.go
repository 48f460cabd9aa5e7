package config

import (
	"encoding/json"
	"fmt"
)

// schema is a piece of a JSON Schema.
type schema map[string]any

// Schema is a JSON Schema (draft 2020-12) of the configuration file, for
// editors. It knows keys and types; Load checks more.
func Schema() []byte {
	s := sectionSchema(&fileConfig{})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Lockstep configuration"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		// A schema holds strings, lists and maps of them; it always encodes.
		panic(fmt.Sprintf("encode schema: %v", err))
	}
	return append(out, '\n')
}

func sectionSchema(section any) schema {
	properties := schema{}
	required := []string{}
	for _, f := range fieldsOf(section) {
		s := f.into.schema()
		s["description"] = f.doc
		properties[f.key] = s
		if f.required && f.unless == "" {
			required = append(required, f.key)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// durations are as in time.ParseDuration; a variable may stand for one.
const durationPattern = `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|\$\{`

func (f *fileConfig) schema() schema { return sectionSchema(f) }

func (*text) schema() schema       { return schema{"type": []string{"string", "integer"}} }
func (*path) schema() schema       { return schema{"type": "string"} }
func (*pathOrNone) schema() schema { return schema{"type": "string"} }
func (*toggle) schema() schema     { return schema{"type": "boolean"} }
func (*count) schema() schema      { return schema{"type": "integer", "minimum": 1} }
func (*span) schema() schema       { return schema{"type": "string", "pattern": durationPattern} }

func (*spanOrOff) schema() schema {
	return schema{"anyOf": []schema{{"const": "off"}, (*span)(nil).schema()}}
}

func (*failure) schema() schema {
	return schema{"enum": []OnRestoreFailure{UnlockOnRestoreFailure, HoldOnRestoreFailure}}
}

func (*paths) schema() schema {
	one := (*path)(nil).schema()
	return schema{"anyOf": []schema{one, {"type": "array", "items": one}}}
}

func (*jobRef) schema() schema {
	return schema{"anyOf": []schema{{"type": "string"}, sectionSchema(&fileJobRef{})}}
}

func (*section[T]) schema() schema { return sectionSchema(new(T)) }

func (*list[T]) schema() schema {
	return schema{"type": "array", "items": any(new(T)).(readable).schema()}
}

func (*table[T]) schema() schema {
	return schema{"type": "object", "additionalProperties": sectionSchema(new(T))}
}
