package fetchd

import (
	"math"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// A message is a FetchBatchResponse of the contract, decoded to what becomes of
// it. The general decoder takes three times as long and makes four times as many
// allocations, which is most of the cost of a result.
type message struct {
	parts []part
}

// A part is a ResultPart of the contract.
type part struct {
	index uint32
	// head is nil if the part has none. It has no body.
	head *Response
	body []byte
	end  *partEnd
}

// A partEnd is a FetchEnd of the contract.
type partEnd struct {
	err   *Error
	stats Stats
}

// codec decodes messages. It encodes like the general one.
type codec struct {
	encoding.CodecV2
}

var messageCodec = codec{encoding.GetCodecV2(grpcproto.Name)}

func (c codec) Unmarshal(data mem.BufferSlice, value any) error {
	message, ok := value.(*message)
	if !ok {
		return c.CodecV2.Unmarshal(data, value)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return message.decode(buffer.ReadOnlyData())
}

// A field is one field of a message in the wire format.
type field struct {
	// tag is the number and the type.
	tag uint64
	// varint is the value of a number, and bytes that of a string, of bytes or of
	// a message.
	varint uint64
	bytes  []byte
}

// The types of all fields of the contract, in a tag.
const (
	asVarint = uint64(protowire.VarintType)
	asBytes  = uint64(protowire.BytesType)
)

// fields calls read with each field of a message.
func fields(data []byte, read func(field) error) error {
	for len(data) > 0 {
		number, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		field := field{tag: protowire.EncodeTag(number, kind)}
		switch kind {
		case protowire.VarintType:
			field.varint, size = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			field.bytes, size = protowire.ConsumeBytes(data)
		default:
			size = protowire.ConsumeFieldValue(number, kind, data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if err := read(field); err != nil {
			return err
		}
	}
	return nil
}

// decode replaces the message. It keeps nothing of data.
func (m *message) decode(data []byte) error {
	clear(m.parts)
	m.parts = m.parts[:0]
	return fields(data, func(field field) error {
		if field.tag != 1<<3|asBytes {
			return nil
		}
		m.parts = append(m.parts, part{})
		return m.parts[len(m.parts)-1].decode(field.bytes)
	})
}

func (p *part) decode(data []byte) error {
	return fields(data, func(field field) (err error) {
		switch field.tag {
		case 1<<3 | asVarint:
			p.index = uint32(field.varint)
		case 2<<3 | asBytes:
			p.head, err = decodeHead(field.bytes)
		case 3<<3 | asBytes:
			p.body = append([]byte(nil), field.bytes...)
		case 4<<3 | asBytes:
			p.end = &partEnd{}
			err = p.end.decode(field.bytes)
		}
		return err
	})
}

func decodeHead(data []byte) (*Response, error) {
	response := &Response{Body: []byte{}}
	var array [16]headerLine // On the stack: most responses have no more.
	lines := array[:0]
	err := fields(data, func(field field) (err error) {
		switch field.tag {
		case 1<<3 | asVarint:
			response.StatusCode = int(uint32(field.varint))
		case 2<<3 | asBytes:
			var line headerLine
			err = line.decode(field.bytes)
			lines = append(lines, line)
		case 3<<3 | asBytes:
			response.URL = string(field.bytes)
		case 4<<3 | asVarint:
			response.Proto = protoNames[fetchdv1.HttpVersion(field.varint)]
		}
		return err
	})
	response.Header = newHeader(lines)
	return response, err
}

var protoNames = map[fetchdv1.HttpVersion]string{
	fetchdv1.HttpVersion_HTTP_VERSION_HTTP_1_0: "HTTP/1.0",
	fetchdv1.HttpVersion_HTTP_VERSION_HTTP_1_1: "HTTP/1.1",
	fetchdv1.HttpVersion_HTTP_VERSION_HTTP_2:   "HTTP/2.0",
	fetchdv1.HttpVersion_HTTP_VERSION_HTTP_3:   "HTTP/3.0",
}

// A headerLine is a Header of the contract.
type headerLine struct {
	name, value []byte
}

func (l *headerLine) decode(data []byte) error {
	return fields(data, func(field field) error {
		switch field.tag {
		case 1<<3 | asBytes:
			l.name = field.bytes
		case 2<<3 | asBytes:
			l.value = field.bytes
		}
		return nil
	})
}

// newHeader converts header lines. All values share one string, and all slices
// share one array.
func newHeader(lines []headerLine) http.Header {
	size := 0
	for _, line := range lines {
		size += len(line.value)
	}
	var joined strings.Builder
	joined.Grow(size)
	for _, line := range lines {
		joined.Write(line.value)
	}
	text := joined.String()
	header := make(http.Header, len(lines))
	values := make([]string, len(lines))
	for index, line := range lines {
		name := canonicalName(line.name)
		values[index], text = text[:len(line.value)], text[len(line.value):]
		if earlier, ok := header[name]; ok {
			header[name] = append(earlier, values[index])
		} else {
			header[name] = values[index : index+1 : index+1]
		}
	}
	return header
}

// canonicalName is [textproto.CanonicalMIMEHeaderKey] without an allocation for
// common names.
func canonicalName(name []byte) string {
	if canonical, ok := commonNames[string(name)]; ok {
		return canonical
	}
	return textproto.CanonicalMIMEHeaderKey(string(name))
}

var commonNames = map[string]string{}

func init() {
	for _, name := range []string{
		"Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Alt-Svc", "Cache-Control", "Connection",
		"Content-Encoding", "Content-Language", "Content-Length", "Content-Security-Policy", "Content-Type",
		"Date", "Etag", "Expires", "Keep-Alive", "Last-Modified", "Link", "Location", "Pragma",
		"Referrer-Policy", "Retry-After", "Server", "Set-Cookie", "Strict-Transport-Security",
		"Transfer-Encoding", "Vary", "Via", "X-Cache", "X-Content-Type-Options", "X-Frame-Options",
		"X-Powered-By", "X-Request-Id", "X-Xss-Protection",
	} {
		commonNames[strings.ToLower(name)] = name
	}
}

func (e *partEnd) decode(data []byte) error {
	stats := &e.stats
	return fields(data, func(field field) (err error) {
		switch field.tag {
		case 1<<3 | asBytes:
			// Failures are rare enough for the general decoder.
			failed := &fetchdv1.FetchError{}
			err = proto.Unmarshal(field.bytes, failed)
			e.err = fetchError(failed)
		case 2<<3 | asVarint:
			stats.Attempts = int(uint32(field.varint))
		case 3<<3 | asVarint:
			stats.Redirects = int(uint32(field.varint))
		case 4<<3 | asVarint:
			stats.BodyBytes = int64(field.varint)
		case 5<<3 | asVarint:
			stats.Truncated = field.varint != 0
		case 6<<3 | asBytes:
			err = stats.decodeTiming(field.bytes)
		}
		return err
	})
}

func (s *Stats) decodeTiming(data []byte) error {
	return fields(data, func(field field) (err error) {
		switch field.tag {
		case 1<<3 | asBytes:
			s.Queued, err = decodeDuration(field.bytes)
		case 2<<3 | asBytes:
			s.FirstByte, err = decodeDuration(field.bytes)
		case 3<<3 | asBytes:
			s.Total, err = decodeDuration(field.bytes)
		case 4<<3 | asBytes:
			s.DNS, err = decodeDuration(field.bytes)
		case 5<<3 | asBytes:
			s.Connect, err = decodeDuration(field.bytes)
		case 6<<3 | asBytes:
			s.TLS, err = decodeDuration(field.bytes)
		case 7<<3 | asVarint:
			s.ConnectionReused = field.varint != 0
		case 8<<3 | asBytes:
			s.Earlier, err = decodeDuration(field.bytes)
		}
		return err
	})
}

func decodeDuration(data []byte) (time.Duration, error) {
	var seconds, nanos int64
	err := fields(data, func(field field) error {
		switch field.tag {
		case 1<<3 | asVarint:
			seconds = int64(field.varint)
		case 2<<3 | asVarint:
			nanos = int64(int32(field.varint))
		}
		return nil
	})
	const most = int64(math.MaxInt64 / time.Second)
	seconds = min(max(seconds, -most), most)
	return time.Duration(seconds)*time.Second + time.Duration(nanos), err
}
