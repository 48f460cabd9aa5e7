// Package oldyaml reads YAML as the libraries of YAML 1.1 do, which programs of
// the field were built with: of a key that is there twice the last one counts,
// `<<` merges, and yes, on and their like are true.
package oldyaml

import (
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Decode reads the first document into a value, as yaml.Decoder.Decode does:
// io.EOF where there is none. It does not bound what it reads.
func Decode(from io.Reader, into any) error {
	var doc yaml.Node
	if err := yaml.NewDecoder(from).Decode(&doc); err != nil {
		return err
	}
	LastCounts(&doc)
	return doc.Decode(into)
}

// DecodeAny reads the first document as maps, lists and values, with YAML 1.1's
// words for true and false as such. Like Decode it may return io.EOF.
func DecodeAny(from io.Reader) (v any, err error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(from).Decode(&doc); err != nil {
		return nil, err
	}
	LastCounts(&doc)
	words(&doc)
	err = doc.Decode(&v)
	return v, err
}

// words makes all values that are a word for true or false just that. Keys are
// left as they are.
func words(n *yaml.Node) {
	if truth, ok := Bool(n); ok {
		n.Tag, n.Value = "!!bool", strconv.FormatBool(truth)
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			words(c)
		}
	}
}

// LastCounts removes from all mappings of a node what a later key of the same
// text replaces, and returns those keys, in their order.
func LastCounts(n *yaml.Node) (replaced []*yaml.Node) {
	if n.Kind == yaml.MappingNode {
		last := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; plain(key) {
				last[key.Value] = i
			}
		}
		kept := n.Content[:0:0]
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; plain(key) && last[key.Value] != i {
				replaced = append(replaced, key)
				continue
			}
			kept = append(kept, n.Content[i], n.Content[i+1])
		}
		n.Content = kept
	}
	for _, c := range n.Content {
		replaced = append(replaced, LastCounts(c)...)
	}
	return replaced
}

// plain reports whether a key is a name. Merges may come several times.
func plain(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() != "!!merge"
}

// Bool is a scalar as YAML 1.1 takes it, and whether it is one. A word in quotes
// or with a tag is a text.
func Bool(n *yaml.Node) (truth, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Style != 0 {
		return false, false
	}
	switch n.Value {
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}
