package main

import (
	"errors"
	"net"
	"syscall"
)

// reserve binds an address on the loopback without listening on it. While the reservation
// is held, nobody else is given the port, so a replica finds it free whenever it starts
// again; and while no replica listens, whoever connects is refused at once and tries
// another. A socket that the parent kept open for its children would let them wait instead.
func reserve(address string) (*reservation, error) {
	a, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	r := &reservation{release: func() error { return syscall.Close(fd) }}
	// With it on both sockets, the replica's may be bound to the same address.
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())})
	}
	if err != nil {
		return nil, errors.Join(&net.OpError{Op: "bind", Net: "tcp", Addr: a, Err: err}, r.release())
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(err, r.release())
	}
	a.Port = bound.(*syscall.SockaddrInet4).Port
	r.address = a.String()
	return r, nil
}
