package port

import (
	"net"
	"strconv"
)

// lock is a socket with an abstract name: it has exactly the scope of the port
// (the network namespace), leaves no file, and ends with the process.
type lock struct{ listener net.Listener }

func acquire(number int) (lock, error) {
	listener, err := net.Listen("unix", "@holdfast-test-port-"+strconv.Itoa(number))
	return lock{listener}, err
}

func (l lock) release() { _ = l.listener.Close() }
