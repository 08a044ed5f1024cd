package fetchd

// mayResend decides whether a request is sent again after a call to endpoint
// has failed. No other code does. From then on, the request avoids the
// endpoint.
//
// A request that was not dispatched may always be sent again. After a refusal,
// there has to be an endpoint that has not failed the request yet. A request
// that may have been dispatched must be idempotent. The last two count as
// losses, of which a request has maxLosses at most.
func mayResend(p *pending, at *endpoint, failed disposition, all *endpoints) bool {
	p.avoid(at)
	switch failed {
	case notDispatched:
		return true
	case refused, foreign:
		return p.countLoss() < all.maxLosses() && all.hasUntried(p)
	case lost:
		return p.isIdempotent && p.countLoss() < all.maxLosses()
	default:
		return false
	}
}
