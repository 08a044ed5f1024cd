package fetchd_test

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func TestInvalidRequestsFailInTheirPlace(t *testing.T) {
	fake := newFake(t, answerAll)
	client := newClient(t, fake.address)
	list := requests(9)
	list[0].URL = "http://origin.example/\xff"
	list[1].Timeout = -time.Second
	list[2].MaxAttempts = -1
	list[4].Header = map[string][]string{"Ä": {"a"}}
	list[5].Method = "G\xff"
	list[6].IdleTimeout = -1
	list[7].ConnectTimeout = -1
	messages := map[int]string{
		0: "URL: expected UTF-8 text",
		1: "Options.Timeout: expected a duration greater than 0, got -1s",
		2: "Options.MaxAttempts: expected 1 or more, got -1",
		4: `Header: expected an ASCII name, got "Ä"`,
		5: `Method: expected UTF-8, got "G\xff"`,
		6: "Options.IdleTimeout: expected a duration greater than 0, got -1ns",
		7: "Options.ConnectTimeout: expected a duration greater than 0, got -1ns",
	}
	for index, result := range client.FetchAll(testContext(t), list) {
		message, isInvalid := messages[index]
		if isInvalid != (result.Err != nil) {
			t.Errorf("result %d: %v", index, result.Err)
		}
		if isInvalid {
			failure := failureOf(t, result.Err)
			if failure.Reason != fetchd.ReasonInvalidRequest || failure.Message != message {
				t.Errorf("result %d: got %v", index, failure)
			}
		}
	}
	if calls := fake.received(); len(calls) != 1 || len(calls[0].Requests) != 2 {
		t.Errorf("got the calls %v", calls)
	}
}

func TestInvalidOptionsFailAllRequests(t *testing.T) {
	fake := newFake(t, answerAll)
	client := newClient(t, fake.address)
	for _, test := range []struct {
		option  fetchd.FetchOption
		message string
	}{
		{fetchd.WithConcurrency(-1), "WithConcurrency: expected 0 or more, got -1"},
		{fetchd.WithTimeout(0), "WithTimeout: expected a duration greater than 0, got 0s"},
		{fetchd.WithRequestDefaults(fetchd.Options{Timeout: -1}), "Options.Timeout: expected a duration greater than 0, got -1ns"},
	} {
		for _, all := range []iter.Seq2[int, fetchd.Result]{
			client.Fetch(testContext(t), requests(3), test.option),
			client.FetchSeq(testContext(t), slices.Values(requests(3)), test.option),
		} {
			count := 0
			for index, result := range all {
				if failure := failureOf(t, result.Err); failure.Message != test.message || index != count {
					t.Errorf("got %v", failure)
				}
				count++
			}
			if count != 3 {
				t.Errorf("%d results", count)
			}
		}
		if _, err := fetchd.New(fake.address, fetchd.WithFetchOptions(test.option)); err == nil || !strings.HasSuffix(err.Error(), test.message) {
			t.Errorf("New: got %v", err)
		}
	}
	if len(fake.received()) != 0 {
		t.Error("something was sent")
	}
}
