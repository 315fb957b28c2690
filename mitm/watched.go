package mitm

import (
	"net"
	"sync"
)

// watched is a client's connection whose owner wants to hear of its end.
type watched struct {
	net.Conn
	ended func()
}

// watch tells the admission's owner of a client's connection, before a byte of it is
// carried: whoever is told to end it must not find that it has begun meanwhile.
func watch(c net.Conn, a Admission) net.Conn {
	if a.Began == nil {
		return c
	}
	return &watched{Conn: c, ended: sync.OnceFunc(a.Began(c))}
}

// Close implements net.Conn.
func (c *watched) Close() error {
	err := c.Conn.Close()
	c.ended()
	return err
}

// CloseWrite ends one direction, where the connection can.
func (c *watched) CloseWrite() error { return closeWrite(c.Conn) }
