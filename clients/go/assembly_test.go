package fetchd

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

func head() *fetchdv1.ResponseHead {
	return &fetchdv1.ResponseHead{
		Status:  200,
		Url:     "http://origin.example/final",
		Version: fetchdv1.HttpVersion_HTTP_VERSION_HTTP_1_1,
		Headers: []*fetchdv1.Header{
			{Name: "x-name", Value: []byte("caf\xe9")},
			{Name: "empty"},
			{Name: "x-name", Value: []byte("two")},
		},
	}
}

func bodyEnd(bytes int) *fetchdv1.FetchEnd {
	return &fetchdv1.FetchEnd{Attempts: 1, BodyBytes: uint64(bytes)}
}

func TestPartsMayArriveInAnyOrder(t *testing.T) {
	assembly := newAssembly(2)
	var order []int
	for _, part := range []*fetchdv1.ResultPart{
		{Index: 1, Head: head(), Body: []byte("a")},
		{Index: 0, Head: head()},
		{Index: 1, Body: []byte("bc")},
		{Index: 0, End: bodyEnd(0)},
		{Index: 1, Body: []byte("d"), End: bodyEnd(4)},
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
			if got := fmt.Sprint(result.Response.Header); got != "map[Empty:[] X-Name:[caf\xe9 two]]" {
				t.Errorf("got the header %s", got)
			}
		}
	}
	if fmt.Sprint(order) != "[0 1]" || assembly.unfinished != 0 {
		t.Errorf("got the order %v, and %d are unfinished", order, assembly.unfinished)
	}
}

func TestErrorMayComeWithAPartOfTheBody(t *testing.T) {
	assembly := newAssembly(1)
	result, isComplete, err := assembly.add(&fetchdv1.ResultPart{
		Head: head(),
		Body: []byte("part"),
		End: &fetchdv1.FetchEnd{
			BodyBytes: 4,
			Error:     &fetchdv1.FetchError{Reason: fetchdv1.Reason_REASON_DISCONNECTED, Message: "cut"},
		},
	})
	if err != nil || !isComplete || string(result.Response.Body) != "part" || result.Err.Error() != "fetchd: DISCONNECTED: cut" {
		t.Errorf("got %+v, %v, %v", result, isComplete, err)
	}
}

func TestPartsThatContradictAreErrors(t *testing.T) {
	first := &fetchdv1.ResultPart{Head: head(), Body: []byte("a")}
	for problem, parts := range map[string][]*fetchdv1.ResultPart{
		"a part with an index out of range":           {{Index: 1, Head: head()}},
		"a part after the end":                        {{Head: head(), End: bodyEnd(0)}, {Body: []byte("a")}},
		"a second head":                               {first, {Head: head()}},
		"a body before its head":                      {{Body: []byte("a")}},
		"an end with neither response nor error":      {{End: bodyEnd(0)}},
		"a body of another size than its end reports": {first, {End: bodyEnd(2)}},
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
	all, failed := assembly.addAll(&fetchdv1.FetchBatchResponse{Parts: []*fetchdv1.ResultPart{
		{Index: 1, Head: head(), End: bodyEnd(0)},
		{Index: 2, Head: head(), End: bodyEnd(0)},
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
	assembly.add(&fetchdv1.ResultPart{Head: head()})
	for range count {
		assembly.add(&fetchdv1.ResultPart{Body: piece})
	}
	result, _, err := assembly.add(&fetchdv1.ResultPart{End: bodyEnd(count * len(piece))})
	runtime.ReadMemStats(&after)
	if err != nil || len(result.Response.Body) != count*len(piece) {
		t.Fatalf("got %d bytes, %v", len(result.Response.Body), err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > uint64(len(result.Response.Body))*11/10 {
		t.Errorf("allocated %d bytes for a body of %d", allocated, len(result.Response.Body))
	}
}
