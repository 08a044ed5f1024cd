package fetchd

import "bytes"

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
func (a *assembly) add(part *part) (result Result, isComplete bool, err *Error) {
	if uint64(part.index) >= uint64(len(a.progress)) {
		return Result{}, false, contractBroken("a part with an index out of range")
	}
	progress := &a.progress[part.index]
	if err := progress.add(part); err != nil {
		return Result{}, false, err
	}
	if part.end == nil {
		return Result{}, false, nil
	}
	result, err = progress.end(part.end)
	if err != nil {
		return Result{}, false, err
	}
	a.unfinished--
	result.Index = int(part.index)
	*progress = ended
	return result, true, nil
}

var ended = progress{ended: true}

func (p *progress) add(part *part) *Error {
	if p.ended {
		return contractBroken("a part after the end")
	}
	if part.head != nil {
		if p.response != nil {
			return contractBroken("a second head")
		}
		p.response = part.head
	}
	switch {
	case len(part.body) == 0:
	case p.response == nil:
		return contractBroken("a body before its head")
	case len(p.response.Body) == 0:
		p.response.Body = part.body
	default:
		p.rest = append(p.rest, part.body)
	}
	return nil
}

func (p *progress) end(end *partEnd) (Result, *Error) {
	result := Result{Response: p.response, Stats: end.stats}
	if end.err != nil {
		result.Err = end.err
	}
	if p.response == nil {
		if end.err == nil {
			return Result{}, contractBroken("an end with neither response nor error")
		}
		return result, nil
	}
	if len(p.rest) > 0 {
		p.response.Body = bytes.Join(append([][]byte{p.response.Body}, p.rest...), nil)
	}
	if int64(len(p.response.Body)) != end.stats.BodyBytes {
		return Result{}, contractBroken(otherSize)
	}
	return result, nil
}
