package sqlitedb

import (
	"database/sql/driver"
	"sync"

	"modernc.org/sqlite"

	"lockstep/internal/rowsum"
)

// registered makes rowsum.Sum the function row_sum of SQL, in all connections of this
// process: triggers keep the sums of tables that more than one statement changes.
var registered = sync.OnceValue(func() error {
	return sqlite.RegisterDeterministicScalarFunction("row_sum", -1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		columns := make([]any, len(args))
		for i, a := range args {
			columns[i] = a
		}
		return rowsum.Sum(columns...), nil
	})
})
