package fetchd_test

import (
	"runtime"
	"testing"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func TestPanicOfASequenceIsThatOfTheLoop(t *testing.T) {
	client := newClient(t, newFake(t, answerAll).address)
	defer func() {
		if got := recover(); got != "no more" {
			t.Errorf("the loop panicked with %v", got)
		}
	}()
	for range client.FetchSeq(testContext(t), func(yield func(fetchd.Request) bool) {
		yield(requests(1)[0])
		panic("no more")
	}) {
	}
	t.Error("the loop has ended")
}

func TestSequenceMayEndItsGoroutine(t *testing.T) {
	client := newClient(t, newFake(t, answerAll).address)
	count := 0
	for _, result := range client.FetchSeq(testContext(t), func(yield func(fetchd.Request) bool) {
		yield(requests(1)[0])
		runtime.Goexit()
	}) {
		if result.Err != nil {
			t.Error(result.Err)
		}
		count++
	}
	if count != 1 {
		t.Errorf("got %d results", count)
	}
}
