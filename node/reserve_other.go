//go:build !linux

package main

import "net"

// reserve finds a free address. Nothing holds it until the replica listens there.
func reserve(address string) (*reservation, error) {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return nil, err
	}
	r := &reservation{address: l.Addr().String(), release: func() error { return nil }}
	return r, l.Close()
}
