//go:build !linux

package port

// lock does nothing here: two test binaries may draw the same port of ten
// thousand, and the server that cannot bind tries another.
type lock struct{}

func acquire(int) (lock, error) { return lock{}, nil }

func (lock) release() {}
