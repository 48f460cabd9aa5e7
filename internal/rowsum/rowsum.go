// Package rowsum has the sum over the columns of a row of a database: what tells a
// row that a disk has changed.
package rowsum

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
)

// Sum is the beginning of the SHA-256 over a row's columns: what tells a row
// that a disk has changed. Columns are nil, strings, bytes, int64s, float64s and
// bools. It is not protection against people.
func Sum(columns ...any) []byte {
	h := sha256.New()
	for _, c := range columns {
		switch c := c.(type) {
		case nil:
			WritePart(h, nil)
		case string:
			WritePart(h, []byte(c))
		case []byte:
			WritePart(h, c)
		case int64:
			_ = binary.Write(h, binary.BigEndian, c)
		case float64:
			_ = binary.Write(h, binary.BigEndian, math.Float64bits(c))
		case bool:
			_ = binary.Write(h, binary.BigEndian, c)
		default:
			panic(fmt.Sprintf("a column is a %T", c))
		}
	}
	return h.Sum(nil)[:8]
}

// WritePart writes bytes so that no two lists of parts are the same text.
func WritePart(h hash.Hash, part []byte) {
	_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
	h.Write(part)
}
