package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds against files made to exhaust: how deep values nest, and how many of
// them are read, where each use of an alias counts again.
const (
	maxDepth = 16
	maxNodes = 100_000
)

// readable is a value of the file format: it reads itself from a node, notes
// what is wrong with the node, and can describe itself as a JSON Schema.
type readable interface {
	read(d *decoder, n *yaml.Node, c crumb)
	schema() schema
}

// decoder reads one file.
type decoder struct {
	file     string // as the user named it
	dir      string // absolute folder that relative paths are relative to
	env      func(string) string
	problems Problems
	nodes    int
}

// crumb is the way to a value in the file.
type crumb struct {
	path    string // "deployments.shop.ssh"; "" is the file itself
	example string // what could be written there
	depth   int
}

func (c crumb) child(name, example string) crumb {
	path := name
	if c.path != "" {
		path = c.path + "." + name
	}
	return crumb{path, example, c.depth + 1}
}

func (c crumb) item(i int) crumb {
	return crumb{fmt.Sprintf("%s[%d]", c.path, i), c.example, c.depth + 1}
}

func (c crumb) String() string {
	if c.path == "" {
		return "the file"
	}
	return c.path
}

// instead is the end of a sentence about a wrong value.
func (c crumb) instead() string {
	if c.example == "" {
		return ""
	}
	return "; write for example: " + c.example
}

func positionOf(n *yaml.Node) position { return position{n.Line, n.Column} }

// enter follows an alias and counts against the bounds; nil means that the
// node is not to be read.
func (d *decoder) enter(n *yaml.Node, c crumb) *yaml.Node {
	if d.nodes++; d.nodes == maxNodes {
		d.problem(positionOf(n), "the file has too many values; aliases count each time they are used")
	}
	if d.nodes >= maxNodes {
		return nil
	}
	if c.depth > maxDepth {
		d.problem(positionOf(n), "values nest too deeply here")
		return nil
	}
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil {
			return nil
		}
		return n.Alias
	}
	return n
}

// wrong notes that a node is not what must be there.
func (d *decoder) wrong(n *yaml.Node, c crumb, want string) {
	d.problem(positionOf(n), "%s is %s, and must be %s%s", c, describe(n), want, c.instead())
}

func describe(n *yaml.Node) string {
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.MappingNode && tag != "!!map", n.Kind == yaml.SequenceNode && tag != "!!seq":
		return "tagged " + short(tag)
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case tag == "!!null":
		return "empty"
	case tag == "!!str":
		return fmt.Sprintf("the text %q", short(n.Value))
	}
	return short(n.Value)
}

func short(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// field is one key of a section.
type field struct {
	key, example, doc string
	required          bool
	unless            string // a key that stands for this one
	into              readable
}

// fieldsOf are the keys of a section, from the tags of the struct that section
// points to.
func fieldsOf(section any) []field { return fieldsIn(reflect.ValueOf(section).Elem()) }

func fieldsIn(v reflect.Value) []field {
	var fields []field
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous { // keys that several sections have
			fields = append(fields, fieldsIn(v.Field(i))...)
			continue
		}
		tag := v.Type().Field(i).Tag
		key := tag.Get("key")
		fields = append(fields, field{
			key: key, doc: tag.Get("doc"), required: tag.Get("required") == "true", unless: tag.Get("unless"),
			example: key + ": " + tag.Get("example"),
			into:    v.Field(i).Addr().Interface().(readable),
		})
	}
	return fields
}

// section reads a mapping with known keys into a struct with tagged fields.
func (d *decoder) section(n *yaml.Node, into any, c crumb) {
	fields := fieldsOf(into)
	known := map[string]field{}
	var keys []string
	for _, f := range fields {
		known[f.key] = f
		keys = append(keys, f.key)
	}
	given := d.pairs(n, c, func(key, value *yaml.Node) {
		f, ok := known[key.Value]
		if !ok {
			d.problem(positionOf(key), "unknown key %q in %s; %s", short(key.Value), c, suggest(key.Value, keys))
			return
		}
		f.into.read(d, value, c.child(f.key, f.example))
	})
	for _, f := range fields {
		if given != nil && f.required && !given[f.key] && !given[f.unless] {
			d.problem(positionOf(n), "key %q is missing in %s; write for example: %s", f.key, c, f.example)
		}
	}
}

func suggest(word string, keys []string) string {
	if near, ok := nearest(word, keys); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "the keys here are: " + strings.Join(keys, ", ")
}

// pairs calls each for every key of a mapping, and tells which keys there
// were; nil if n is not a mapping. An empty value counts as an empty mapping.
func (d *decoder) pairs(n *yaml.Node, c crumb, each func(key, value *yaml.Node)) map[string]bool {
	if n = d.enter(n, c); n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Value == "" {
		return map[string]bool{}
	}
	if n.Kind != yaml.MappingNode || n.ShortTag() != "!!map" {
		d.wrong(n, c, "a mapping (key: value)")
		return nil
	}
	lines := map[string]int{}
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.problem(positionOf(key), "a key in %s is not a plain name", c)
		case key.ShortTag() == "!!merge":
			d.problem(positionOf(key), "%s uses the merge key <<, which is not supported; write the keys out", c)
		case given[key.Value]:
			d.problem(positionOf(key), "key %q is there twice in %s, first in line %d; remove one", short(key.Value), c, lines[key.Value])
		default:
			given[key.Value], lines[key.Value] = true, key.Line
			each(key, value)
		}
	}
	return given
}

// scalar is the text of a scalar node with ${VAR} replaced.
func (d *decoder) scalar(n *yaml.Node, c crumb, want string) (string, *yaml.Node) {
	if n = d.enter(n, c); n == nil {
		return "", nil
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.wrong(n, c, want)
		return "", nil
	}
	if n.ShortTag() != "!!str" {
		return n.Value, n
	}
	text, err := expand(n.Value, d.env)
	if err != nil {
		d.problem(positionOf(n), "%s: %v", c, err)
		return "", nil
	}
	return text, n
}

// expand replaces ${VAR} by the variable's value and $$ by a dollar sign.
// Values are taken as they are: what is in them is never expanded or parsed as
// YAML again.
func expand(s string, env func(string) string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			out.WriteByte('$')
			s = after
			continue
		}
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
		if !strings.HasPrefix(rest, "{") || !ok || !isVariable(name) {
			return "", fmt.Errorf("%q has a $ that begins no variable; write ${NAME} for a variable, $$ for a dollar sign", short("$"+rest))
		}
		value := env(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set or empty; set it, or write $${%s} for the text itself", name, name)
		}
		out.WriteString(value)
		s = after
	}
}

func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
