package fetchd

// slots are the requests of a list that may be in flight, over all its calls.
// Each endpoint that is not ejected gets an equal share of them.
type slots struct {
	count     int
	inUse     int
	inUseAt   map[*endpoint]int
	endpoints *endpoints
}

func newSlots(concurrency int, endpoints *endpoints) slots {
	if concurrency == 0 {
		concurrency = defaultConcurrency
	}
	return slots{count: concurrency, endpoints: endpoints, inUseAt: make(map[*endpoint]int)}
}

// add records that count more slots of an endpoint are in use.
func (s *slots) add(at *endpoint, count int) {
	s.inUse += count
	s.inUseAt[at] += count
}

// share returns the number of slots of each endpoint.
func (s *slots) share() int {
	count := 0
	for _, endpoint := range s.endpoints.all {
		if !endpoint.isEjected() {
			count++
		}
	}
	count = max(count, 1)
	return (s.count + count - 1) / count
}

// free returns the number of free slots of an endpoint.
func (s *slots) free(at *endpoint) int {
	return max(0, min(s.share()-s.inUseAt[at], s.count-s.inUse))
}

// hasRoomAt returns true if an endpoint has enough free slots for another call.
// With fewer than half of them, there would be many small calls.
func (s *slots) hasRoomAt(at *endpoint) bool {
	free := s.free(at)
	return free > 0 && (s.inUseAt[at] == 0 || 2*free >= s.share())
}

// hasRoom returns true if an endpoint has enough free slots for another call, or
// will have once it answers.
func (s *slots) hasRoom() bool {
	for _, endpoint := range s.endpoints.all {
		if s.hasRoomAt(endpoint) {
			return true
		}
	}
	return false
}
