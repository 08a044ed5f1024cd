package fetchd

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// everything has a value in every field of the contract.
var everything = &fetchdv1.FetchBatchResponse{Parts: []*fetchdv1.ResultPart{
	{
		Index: 1 << 31,
		Head: &fetchdv1.ResponseHead{
			Status:  200,
			Url:     "http://origin.example/final",
			Version: fetchdv1.HttpVersion_HTTP_VERSION_HTTP_1_1,
			Headers: []*fetchdv1.Header{
				{Name: "content-type", Value: []byte("text/plain")},
				{Name: "x-unusual-name", Value: []byte("caf\xe9")},
				{Name: "empty"},
				{Name: "x-unusual-name", Value: []byte("two")},
			},
		},
		Body: []byte("body"),
		End: &fetchdv1.FetchEnd{
			Error:     &fetchdv1.FetchError{Reason: 99, Message: "broken", Retryable: true},
			Attempts:  3,
			Redirects: 4,
			BodyBytes: 1 << 40,
			Truncated: true,
			Timing: &fetchdv1.Timing{
				Queued:           durationpb.New(time.Hour),
				FirstByte:        durationpb.New(2 * time.Nanosecond),
				Total:            durationpb.New(3 * time.Second),
				Dns:              durationpb.New(4),
				Connect:          durationpb.New(5),
				Tls:              durationpb.New(6),
				ConnectionReused: true,
				Earlier:          durationpb.New(-8),
			},
		},
	},
	{},
	{Head: &fetchdv1.ResponseHead{Version: fetchdv1.HttpVersion_HTTP_VERSION_HTTP_3}},
	{End: &fetchdv1.FetchEnd{}},
}}

// converted returns a message as the general decoder reads it.
func converted(from *fetchdv1.FetchBatchResponse) []part {
	var parts []part
	for _, from := range from.Parts {
		part := part{index: from.Index, body: from.Body}
		if from.Head != nil {
			part.head = &Response{
				StatusCode: int(from.Head.Status),
				Header:     map[string][]string{},
				Body:       []byte{},
				URL:        from.Head.Url,
				Proto:      protoNames[from.Head.Version],
			}
			for _, line := range from.Head.Headers {
				part.head.Header.Add(line.Name, string(line.Value))
			}
		}
		if from.End != nil {
			part.end = &partEnd{stats: Stats{
				Attempts:         int(from.End.Attempts),
				Redirects:        int(from.End.Redirects),
				Truncated:        from.End.Truncated,
				BodyBytes:        int64(from.End.BodyBytes),
				Queued:           from.End.Timing.GetQueued().AsDuration(),
				FirstByte:        from.End.Timing.GetFirstByte().AsDuration(),
				Total:            from.End.Timing.GetTotal().AsDuration(),
				DNS:              from.End.Timing.GetDns().AsDuration(),
				Connect:          from.End.Timing.GetConnect().AsDuration(),
				TLS:              from.End.Timing.GetTls().AsDuration(),
				ConnectionReused: from.End.Timing.GetConnectionReused(),
				Earlier:          from.End.Timing.GetEarlier().AsDuration(),
			}}
			if from.End.Error != nil {
				part.end.err = fetchError(from.End.Error)
			}
		}
		parts = append(parts, part)
	}
	return parts
}

func marshal(t testing.TB, message proto.Message) []byte {
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecoderReadsEveryField(t *testing.T) {
	data := marshal(t, everything)
	// A message is used again for the next one.
	used := &message{parts: []part{{index: 7, body: []byte("old")}, {end: &partEnd{}}}}
	for range 2 {
		if err := used.decode(data); err != nil {
			t.Fatal(err)
		}
		if want := converted(everything); !reflect.DeepEqual(used.parts, want) {
			t.Errorf("got  %+v\nwant %+v", used.parts, want)
		}
	}
	// What is decoded keeps nothing of the data.
	clear(data)
	if string(used.parts[0].body) != "body" || used.parts[0].head.Header.Get("X-Unusual-Name") != "caf\xe9" {
		t.Errorf("got %+v", used.parts[0])
	}
}

// Later versions of the service may have more fields.
func TestDecoderLeavesOutUnknownFields(t *testing.T) {
	var unknown []byte
	for _, field := range []string{"\xa0\x06\x01", "\xa1\x06\x01\x02\x03\x04\x05\x06\x07\x08", "\xa5\x06\x01\x02\x03\x04", "\xa2\x06\x02ab"} {
		unknown = append(unknown, field...)
	}
	message := proto.Clone(everything).(*fetchdv1.FetchBatchResponse)
	for _, part := range []proto.Message{
		message, message.Parts[0], message.Parts[0].Head, message.Parts[0].Head.Headers[0],
		message.Parts[0].End, message.Parts[0].End.Timing, message.Parts[0].End.Timing.Queued,
	} {
		part.ProtoReflect().SetUnknown(unknown)
	}
	decoded := decodeMessage(t, marshal(t, message))
	if want := converted(everything); !reflect.DeepEqual(decoded.parts, want) {
		t.Errorf("got  %+v\nwant %+v", decoded.parts, want)
	}
}

func decodeMessage(t testing.TB, data []byte) *message {
	decoded := &message{}
	if err := decoded.decode(data); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// The decoder accepts and reads what the general one does.
func FuzzDecoder(f *testing.F) {
	f.Add(marshal(f, everything))
	f.Add([]byte("\x0a\x02\x12\x7f"))
	f.Add([]byte("\x0a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var general fetchdv1.FetchBatchResponse
		if proto.Unmarshal(data, &general) != nil {
			(&message{}).decode(data) // It may be more lenient.
			return
		}
		// Messages that are repeated are merged by the general decoder only. No
		// encoder repeats them.
		decoded := decodeMessage(t, marshal(t, &general))
		if want := converted(&general); len(want) != len(decoded.parts) || len(want) > 0 && !reflect.DeepEqual(decoded.parts, want) {
			t.Errorf("got  %+v\nwant %+v", decoded.parts, want)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	message := &fetchdv1.FetchBatchResponse{}
	for range 100 {
		part := proto.Clone(everything.Parts[0]).(*fetchdv1.ResultPart)
		part.Body, part.End.Error = make([]byte, 1<<10), nil
		message.Parts = append(message.Parts, part)
	}
	data := marshal(b, message)
	b.Run("general", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := proto.Unmarshal(data, &fetchdv1.FetchBatchResponse{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			decodeMessage(b, data)
		}
	})
}
