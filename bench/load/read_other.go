//go:build !unix

package load

// some reads once and parses what came.
func (c *conn) some() error {
	p := make([]byte, readSize)
	n, err := c.net.Read(p)
	if n > 0 {
		return c.take(p[:n])
	}
	return err
}
