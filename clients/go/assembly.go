package fetchd

import (
	"bytes"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// An assembly builds the results of one call from their parts, which may arrive
// in any order. Each request gets exactly one result. A part that contradicts
// another one is an error.
type assembly struct {
	progress   []progress
	unfinished int
}

// progress is how much of a result has arrived.
type progress struct {
	response *Response
	// rest are the pieces of the body after the first, which is in response.
	rest  [][]byte
	ended bool
}

const otherSize = "a body of another size than its end reports"

func newAssembly(count int) *assembly {
	return &assembly{progress: make([]progress, count), unfinished: count}
}

// add adds a part. It returns true with the result if that is complete now.
func (a *assembly) add(part *fetchdv1.ResultPart) (result Result, isComplete bool, err *Error) {
	if uint64(part.Index) >= uint64(len(a.progress)) {
		return Result{}, false, contractBroken("a part with an index out of range")
	}
	progress := &a.progress[part.Index]
	if err := progress.add(part); err != nil {
		return Result{}, false, err
	}
	if part.End == nil {
		return Result{}, false, nil
	}
	result, err = progress.end(part.End)
	if err != nil {
		return Result{}, false, err
	}
	a.unfinished--
	result.Index = int(part.Index)
	*progress = ended
	return result, true, nil
}

var ended = progress{ended: true}

func (p *progress) add(part *fetchdv1.ResultPart) *Error {
	if p.ended {
		return contractBroken("a part after the end")
	}
	if part.Head != nil {
		if p.response != nil {
			return contractBroken("a second head")
		}
		p.response = newResponse(part.Head)
	}
	switch {
	case len(part.Body) == 0:
	case p.response == nil:
		return contractBroken("a body before its head")
	case len(p.response.Body) == 0:
		p.response.Body = part.Body
	default:
		p.rest = append(p.rest, part.Body)
	}
	return nil
}

func (p *progress) end(end *fetchdv1.FetchEnd) (Result, *Error) {
	result := Result{Response: p.response, Stats: newStats(end)}
	if end.Error != nil {
		result.Err = fetchError(end.Error)
	}
	if p.response == nil {
		if end.Error == nil {
			return Result{}, contractBroken("an end with neither response nor error")
		}
		return result, nil
	}
	if len(p.rest) > 0 {
		p.response.Body = bytes.Join(append([][]byte{p.response.Body}, p.rest...), nil)
	}
	if uint64(len(p.response.Body)) != end.BodyBytes {
		return Result{}, contractBroken(otherSize)
	}
	return result, nil
}
