package move

// kind is how a column is read and written.
type kind byte

const (
	number kind = 'i' // INTEGER, bigint
	truth  kind = 'b' // INTEGER, boolean
	text   kind = 't' // TEXT, text
	octets kind = 'x' // BLOB, bytea
	either kind = 'e' // TEXT, bytea
	real   kind = 'f' // REAL, double precision
)

// column is one that both databases have.
type column struct {
	name string
	kind kind
}

// table is one that both databases have.
type table struct {
	// name is SQLite's; in PostgreSQL prefix stands before it.
	name, prefix string
	// key is what its rows are ordered by, which is unique.
	key     string
	columns []column
	// numbered: the database numbers new rows, in the column n.
	numbered bool
	// one: it has one row from the beginning.
	one bool
	// sum: the database keeps a sum over all columns but those that unsummed names; it
	// is another one in the other database.
	sum      bool
	unsummed string
}

// columns makes columns of pairs, each KIND NAME.
func columns(list ...string) []column {
	out := make([]column, len(list))
	for i, c := range list {
		out[i] = column{c[2:], kind(c[0])}
	}
	return out
}

// tables are all, in an order in which each finds what it refers to.
var tables = []table{
	{name: "runs", prefix: "journal_", key: "n", numbered: true, columns: columns("i n", "t id", "i seq", "i term", "i planned", "t key", "t deployment",
		"t operation", "t state", "t data", "t locks", "t backup", "i started", "i ended", "i lock_started", "i unlock_ended", "f lock_window",
		"t error", "i exit_code", "x link", "x sum")},
	{name: "events", prefix: "journal_", key: "run, seq", columns: columns("i run", "i seq", "x body", "x link")},
	{name: "holds", prefix: "journal_", key: "key, grp, idx, job", columns: columns("t key", "t grp", "t idx", "t job", "t run", "t deployment", "i since", "b restore", "x sum")},
	{name: "outputs", prefix: "journal_", key: "run, step, attempt, stream", columns: columns("i run", "t step", "i attempt", "t stream", "i dropped", "x head", "x tail")},
	{name: "cancels", prefix: "journal_", key: "run", columns: columns("i run", "t asked")},
	{name: "records", prefix: "journal_", key: "kind, name", columns: columns("t kind", "e name", "e data", "i at", "x sum")},
	{name: "record_writes", prefix: "journal_", key: "n", one: true, columns: columns("i n")},
	{name: "losses", prefix: "journal_", key: "run", columns: columns("t run", "t key", "t deployment", "t why", "i at")},
	{name: "set_aside", prefix: "journal_", key: "run, seq, at", columns: columns("t run", "i seq", "x body", "x link", "i at")},

	{name: "state_settings", key: "name", sum: true, columns: columns("t name", "x value", "i changed")},
	{name: "state_tokens", key: "id", sum: true, columns: columns("t id", "t name", "x hash", "x grants", "t created_by", "i created", "i expires", "i revoked", "i used")},
	{name: "state_sessions", key: "hash", sum: true, columns: columns("x hash", "x principal", "t token", "i begun", "i seen", "i expires")},
	{name: "state_approvals", key: "n", numbered: true, sum: true, unsummed: "n", columns: columns("i n", "t id", "t deployment", "x request", "t plan", "t plan_run", "t reason", "x asked_by",
		"i asked", "i expires", "x decided_by", "i decided", "b approved", "t run", "i used")},
	{name: "state_run_keys", key: "principal, key", sum: true, columns: columns("t principal", "t key", "t digest", "t run", "i kept")},
	{name: "state_schedules", key: "name", sum: true, columns: columns("t name", "i version", "x definition", "i decided", "i waiting", "b paused", "t paused_by", "i paused_at")},
	{name: "state_slots", key: "n", numbered: true, sum: true, columns: columns("i n", "i change", "t schedule", "t deployment", "t operation", "i slot", "i last", "i count",
		"t state", "t run", "t reason", "b manual", "t asked_by", "i decided")},
	{name: "state_notices", key: "n", numbered: true, sum: true, columns: columns("i n", "t dedup", "i made", "x body")},
	{name: "state_deliveries", key: "n", numbered: true, sum: true, columns: columns("i n", "i notice", "t receiver", "b alarm", "t state", "i tries", "i next_try", "i ended", "t error")},
	{name: "state_slot_changes", key: "last", one: true, columns: columns("i last")},
}
