package jwtkit

// RememberAtMost sets how many tokens the verifier remembers.
func (v *Verifier) RememberAtMost(n int) { v.most = n }

// Cached returns how many tokens the verifier remembers.
func (v *Verifier) Cached() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.cache)
}
