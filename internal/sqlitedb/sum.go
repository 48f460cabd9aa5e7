package sqlitedb

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"sync"

	"modernc.org/sqlite"
)

// RowSum is the beginning of the SHA-256 over a row's columns: what tells a row
// that a disk has changed. Columns are nil, strings, bytes, int64s, float64s and
// bools. It is not protection against people.
func RowSum(columns ...any) []byte {
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

// registered makes RowSum the function row_sum of SQL, in all connections of this
// process: triggers keep the sums of tables that more than one statement changes.
var registered = sync.OnceValue(func() error {
	return sqlite.RegisterDeterministicScalarFunction("row_sum", -1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		columns := make([]any, len(args))
		for i, a := range args {
			columns[i] = a
		}
		return RowSum(columns...), nil
	})
})
