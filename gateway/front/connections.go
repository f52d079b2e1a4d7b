package front

import (
	"net"
	"net/netip"
	"sync"
)

// bounded bounds the connections of a listener: beyond max in all they wait to be
// accepted, beyond perAddress of one address they are closed. 0 is no bound.
func bounded(l net.Listener, limit, perAddress int) net.Listener {
	b := &boundedListener{Listener: l, perAddress: perAddress, addresses: map[netip.Addr]int{}, closed: make(chan struct{})}
	if limit > 0 {
		b.places = make(chan struct{}, limit)
	}
	return b
}

type boundedListener struct {
	net.Listener
	places     chan struct{} // one for each connection; nil: as many as may come
	perAddress int
	once       sync.Once
	closed     chan struct{}

	mu        sync.Mutex
	addresses map[netip.Addr]int // connections of each that has some
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		if l.places != nil {
			select {
			case l.places <- struct{}{}:
			case <-l.closed:
				return nil, net.ErrClosed
			}
		}
		c, err := l.Listener.Accept()
		if err != nil {
			l.free()
			return nil, err
		}
		from := address(c)
		if l.enter(from) {
			return &boundedConn{Conn: c, leave: sync.OnceFunc(func() {
				l.leave(from)
				l.free()
			})}, nil
		}
		_ = c.Close()
		l.free()
	}
}

// Close also ends an Accept that waits for a place.
func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *boundedListener) free() {
	if l.places != nil {
		<-l.places
	}
}

func (l *boundedListener) enter(from netip.Addr) bool {
	if l.perAddress == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[from] >= l.perAddress {
		return false
	}
	l.addresses[from]++
	return true
}

func (l *boundedListener) leave(from netip.Addr) {
	if l.perAddress == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[from]--; l.addresses[from] == 0 {
		delete(l.addresses, from)
	}
}

func address(c net.Conn) netip.Addr {
	a, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // the zero address stands for all others
	return a.Addr().Unmap()
}

type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
