package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"portico/identity/history"
	"portico/identity/stable"
	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

func buffered(t testing.TB, sequence, anchor, timestamp uint64) history.Buffered {
	t.Helper()
	key := fmt.Appendf(nil, "key %d", sequence)
	b, err := marshal.Encode(history.Entry{
		Anchor: anchor, Timestamp: timestamp, Sequence: sequence, Caller: principal.Canister(1),
		Operation: history.Operation{RemoveDevice: &history.Removed{Key: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return history.Buffered{Anchor: anchor, Timestamp: timestamp, Sequence: sequence, Entry: b}
}

// filled is a log of n entries of three anchors in turn, one a nanosecond.
func filled(t testing.TB, n int) (*log, *stable.Buffer) {
	t.Helper()
	m := &stable.Buffer{}
	l, err := newLog(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(n) {
		if err := l.add([]history.Buffered{buffered(t, i, 10_000+i%3, i)}); err != nil {
			t.Fatal(err)
		}
	}
	return l, m
}

func sequences(entries []*history.Entry) (out []uint64) {
	for _, e := range entries {
		out = append(out, e.Sequence)
	}
	return out
}

func TestEntriesAreFoundByNumberAndByAnchor(t *testing.T) {
	_, m := filled(t, 30)
	l, err := openLog(m)
	if err != nil {
		t.Fatal(err)
	}
	all, rest, err := l.from(25, 10, (*slot).following)
	if err != nil || fmt.Sprint(sequences(all)) != "[25 26 27 28 29]" || rest != 30 {
		t.Errorf("from 25 on: %v, then %d, %v", sequences(all), rest, err)
	}
	if beyond, _, err := l.from(math.MaxUint64, 10, (*slot).following); err != nil || len(beyond) != 0 {
		t.Errorf("beyond the end: %v, %v", beyond, err)
	}
	at := uint64(16)
	for _, x := range []struct {
		c    *cursor
		want string
	}{
		{nil, "[1 4 7 10]"},
		{&cursor{Timestamp: &at}, "[16 19 22 25]"},
	} {
		n, err := l.start(10_001, x.c)
		if err != nil {
			t.Fatal(err)
		}
		got, next, err := l.from(n, 4, (*slot).ofAnchor)
		if err != nil || fmt.Sprint(sequences(got)) != x.want {
			t.Errorf("%+v: %v, want %s, %v", x.c, sequences(got), x.want, err)
		}
		page := token(10_001, next)
		if again, err := l.start(10_001, &cursor{Next: &page}); err != nil || again != next {
			t.Errorf("the token of %d leads to %d, %v", next, again, err)
		}
	}
	if n, err := l.start(10_003, nil); err != nil || n != none {
		t.Errorf("an anchor without entries begins at %d, %v", n, err)
	}
}

func TestTokensThatWereNotGivenOutAreRefused(t *testing.T) {
	l, _ := filled(t, 6)
	for _, b := range [][]byte{nil, {1}, token(10_001, 2), token(10_002, 1), token(10_001, 6), token(10_001, math.MaxUint64), append(token(10_001, 1), 0)} {
		if _, err := l.start(10_001, &cursor{Next: &b}); err == nil {
			t.Errorf("%x is taken", b)
		}
	}
}

func TestABatchThatComesTwiceIsKeptOnce(t *testing.T) {
	l, _ := filled(t, 4)
	batch := []history.Buffered{buffered(t, 2, 10_000, 2), buffered(t, 3, 10_000, 3), buffered(t, 4, 10_000, 4)}
	for range 2 {
		if err := l.add(batch); err != nil {
			t.Fatal(err)
		}
	}
	if l.length != 5 || l.archived != 5 || l.missing != 0 {
		t.Errorf("%d entries, %d archived, %d missing", l.length, l.archived, l.missing)
	}
	if err := l.add([]history.Buffered{buffered(t, 9, 10_000, 9)}); err != nil || l.missing != 4 {
		t.Errorf("%d are missing, %v", l.missing, err)
	}
}

func TestEntriesThatFillChunksAndAnswersAreReadWhole(t *testing.T) {
	l, err := newLog(&stable.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte("x"), maxEntry-1)
	for i := range uint64(40) {
		if err := l.add([]history.Buffered{{Anchor: 1, Sequence: i, Entry: junk}}); err != nil {
			t.Fatal(err)
		}
	}
	var got, answers int
	for at := uint64(0); at < l.length; answers++ {
		var page []*history.Entry
		if page, at, err = l.from(at, 1000, (*slot).following); err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			if e != nil {
				t.Errorf("junk is read as %+v", e)
			}
		}
		got += len(page)
	}
	if got != 40 || answers < 2 {
		t.Errorf("%d entries in %d answers", got, answers)
	}
	if l.add([]history.Buffered{{Sequence: 40, Entry: append(junk, 0, 0)}}) == nil {
		t.Error("an entry of any size is kept")
	}
}

func TestGoTypesFitTheInterface(t *testing.T) {
	text, err := os.ReadFile("archive.did")
	if err != nil {
		t.Fatal(err)
	}
	did, err := candid.ParseDid(string(text))
	if err != nil {
		t.Fatal(err)
	}
	service, ok := did.ServiceType()
	if !ok {
		t.Fatal("archive.did describes no service")
	}
	var index *uint64
	var limit *uint16
	ours := map[string]struct{ in, out []any }{
		"get_entries":        {[]any{index, limit}, []any{entries{}}},
		"get_anchor_entries": {[]any{uint64(0), (*cursor)(nil), limit}, []any{anchorEntries{}}},
		"status":             {nil, []any{status{}}},
		"http_request":       {[]any{httpRequest{}}, []any{httpResponse{}}},
	}
	for _, m := range service.Methods {
		want, _ := candid.Resolve(m.Type).(*candid.FuncType)
		sig := ours[m.Name]
		if got := marshal.FuncType(sig.in, sig.out, want.Annotations); !candid.Subtype(got, want) {
			t.Errorf("%s is %v here, which is no subtype of %v", m.Name, got, want)
		}
	}
}

func TestMetricsCountWhatThereIs(t *testing.T) {
	l, _ := filled(t, 7)
	a := &archive{log: l, fetched: &fetchInfo{2_000_000_000, 3}}
	got := a.http(&httpRequest{URL: "/metrics?x"})
	for _, line := range []string{"ii_archive_log_entries_count 7\n", "ii_archive_last_successful_fetch_timestamp_seconds 2\n", "ii_archive_stored_call_errors 0\n"} {
		if !strings.Contains(string(got.Body), line) {
			t.Errorf("no line %q in\n%s", line, got.Body)
		}
	}
	if a.http(&httpRequest{URL: "/"}).Status != 404 {
		t.Error("there is more than metrics")
	}
}
