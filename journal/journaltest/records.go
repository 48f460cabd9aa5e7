package journaltest

import (
	"context"
	"strings"
	"testing"
	"time"

	"lockstep/journal"
)

// records: the last word of each kind and name, seen by other openings.
func records(t *testing.T, s Store) {
	ctx, j := context.Background(), open(t, s)
	at := time.Date(2026, 11, 22, 14, 42, 41, 123456789, time.UTC)
	put := func(kind, name, data string) {
		t.Helper()
		if err := j.PutRecord(ctx, journal.Record{Kind: kind, Name: name, Data: []byte(data), At: at}); err != nil {
			t.Fatal(err)
		}
	}
	put("color", "b", `{"is":1}`)
	put("color", "a\n\xc3\xbc", `[]`)
	put("shape", "b", `"other"`)
	put("color", "b", `{"is":2}`)
	want := []journal.Record{
		{Kind: "color", Name: "a\n\xc3\xbc", Data: []byte(`[]`), At: at},
		{Kind: "color", Name: "b", Data: []byte(`{"is":2}`), At: at},
	}
	for _, o := range []journal.Journal{j, open(t, s)} {
		got, err := o.Records(ctx, "color")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "records", want, got)
		one, ok, err := o.Record(ctx, "color", "b")
		if err != nil || !ok {
			t.Fatalf("Record: %v, %v", ok, err)
		}
		same(t, "record", want[1], one)
		if _, ok, err := o.Record(ctx, "color", "c"); ok || err != nil {
			t.Errorf("a record that is not there: %v, %v", ok, err)
		}
		if none, err := o.Records(ctx, "size"); len(none) != 0 || err != nil {
			t.Errorf("records of no kind: %v, %v", none, err)
		}
	}
	for _, bad := range []journal.Record{
		{Name: "x", Data: []byte(`1`)},
		{Kind: "color", Name: strings.Repeat("x", journal.MaxRecordName+1), Data: []byte(`1`)},
		{Kind: "color", Name: "x", Data: []byte(`{`)},
		{Kind: "color", Name: "x"},
	} {
		if err := j.PutRecord(ctx, bad); err == nil {
			t.Errorf("record %+v was kept", bad)
		}
	}
}
