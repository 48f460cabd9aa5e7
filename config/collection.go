package config

import "go.yaml.in/yaml/v3"

// section is a mapping with known keys: the tagged fields of the struct T.
type section[T any] struct{ leaf[T] }

func (s *section[T]) read(d *decoder, n *yaml.Node, c crumb) {
	var value T
	d.section(n, &value, c)
	s.put(n, value)
}

// list is a list of values of type T.
type list[T any] struct{ leaf[[]T] }

func (l *list[T]) read(d *decoder, n *yaml.Node, c crumb) {
	at := n
	if n = d.enter(n, c); n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode || n.ShortTag() != "!!seq" {
		d.wrong(n, c, "a list")
		return
	}
	values := make([]T, len(n.Content))
	for i, item := range n.Content {
		any(&values[i]).(readable).read(d, item, c.item(i))
	}
	l.put(at, values)
}

// row is one entry of a table: its name, and where that stands.
type row[T any] struct {
	name  text
	value T
}

// table is a mapping from names that the user chose to sections with the
// tagged fields of the struct T, in the file's order.
type table[T any] struct{ leaf[[]row[T]] }

func (t *table[T]) read(d *decoder, n *yaml.Node, c crumb) {
	var rows []row[T]
	given := d.pairs(n, c, func(key, value *yaml.Node) {
		r := row[T]{name: text{leaf[string]{key.Value, positionOf(key), true}}}
		d.section(value, &r.value, c.child(short(key.Value), ""))
		rows = append(rows, r)
	})
	if given != nil {
		t.put(n, rows)
	}
}
