package fetchd

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

func head() *Response {
	return &Response{StatusCode: 200, Body: []byte{}}
}

func bodyEnd(bytes int) *partEnd {
	return &partEnd{stats: Stats{Attempts: 1, BodyBytes: int64(bytes)}}
}

func TestPartsMayArriveInAnyOrder(t *testing.T) {
	assembly := newAssembly(2)
	var order []int
	for _, part := range []*part{
		{index: 1, head: head(), body: []byte("a")},
		{index: 0, head: head()},
		{index: 1, body: []byte("bc")},
		{index: 0, end: bodyEnd(0)},
		{index: 1, body: []byte("d"), end: bodyEnd(4)},
	} {
		result, isComplete, err := assembly.add(part)
		if err != nil {
			t.Fatal(err)
		}
		if isComplete {
			order = append(order, result.Index)
			want := map[int]string{0: "", 1: "abcd"}[result.Index]
			if got := string(result.Response.Body); got != want || result.Response.Body == nil {
				t.Errorf("result %d has the body %q", result.Index, got)
			}
		}
	}
	if fmt.Sprint(order) != "[0 1]" || assembly.unfinished != 0 {
		t.Errorf("got the order %v, and %d are unfinished", order, assembly.unfinished)
	}
}

func TestErrorMayComeWithAPartOfTheBody(t *testing.T) {
	assembly := newAssembly(1)
	result, isComplete, err := assembly.add(&part{
		head: head(),
		body: []byte("part"),
		end: &partEnd{
			err:   &Error{Reason: ReasonDisconnected, Message: "cut"},
			stats: Stats{BodyBytes: 4},
		},
	})
	if err != nil || !isComplete || string(result.Response.Body) != "part" || result.Err.Error() != "fetchd: DISCONNECTED: cut" {
		t.Errorf("got %+v, %v, %v", result, isComplete, err)
	}
}

func TestPartsThatContradictAreErrors(t *testing.T) {
	first := func() *part { return &part{head: head(), body: []byte("a")} }
	for problem, parts := range map[string][]*part{
		"a part with an index out of range":           {{index: 1, head: head()}},
		"a part after the end":                        {{head: head(), end: bodyEnd(0)}, {body: []byte("a")}},
		"a second head":                               {first(), {head: head()}},
		"a body before its head":                      {{body: []byte("a")}},
		"an end with neither response nor error":      {{end: bodyEnd(0)}},
		"a body of another size than its end reports": {first(), {end: bodyEnd(2)}},
	} {
		assembly := newAssembly(1)
		for index, part := range parts {
			_, _, err := assembly.add(part)
			if isLast := index == len(parts)-1; isLast != (err != nil) {
				t.Fatalf("%s: part %d: %v", problem, index, err)
			}
			if err != nil && (err.Reason != ReasonContractBroken || err.Message != "the service broke its contract: "+problem) {
				t.Errorf("%s: got %v", problem, err)
			}
		}
	}
}

// A result that was complete before a wrong part is valid.
func TestResultsBeforeAWrongPartAreValid(t *testing.T) {
	assembly := newAssembly(2)
	all, failed := assembly.addAll(&message{parts: []part{
		{index: 1, head: head(), end: bodyEnd(0)},
		{index: 2, head: head(), end: bodyEnd(0)},
	}}, "a:1")
	if len(all) != 1 || all[0].Index != 1 || failed == nil || failed.disposition != lost {
		t.Errorf("got %v, %v", all, failed)
	}
}

// A body is copied once, whatever the number of its pieces.
func TestBodiesAreJoinedOnce(t *testing.T) {
	piece := bytes.Repeat([]byte("x"), 64<<10)
	const count = 500
	assembly := newAssembly(1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	assembly.add(&part{head: head()})
	for range count {
		assembly.add(&part{body: piece})
	}
	result, _, err := assembly.add(&part{end: bodyEnd(count * len(piece))})
	runtime.ReadMemStats(&after)
	if err != nil || len(result.Response.Body) != count*len(piece) {
		t.Fatalf("got %d bytes, %v", len(result.Response.Body), err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > uint64(len(result.Response.Body))*11/10 {
		t.Errorf("allocated %d bytes for a body of %d", allocated, len(result.Response.Body))
	}
}
