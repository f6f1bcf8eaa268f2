package jwtkit

// CacheSize is the most tokens that a verifier remembers.
const CacheSize = cacheSize

// Cached returns how many tokens the verifier remembers.
func (v *Verifier) Cached() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.cache)
}
