package callout

import "time"

// LookAgain has c look at its files at the next call.
func LookAgain(c *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = time.Time{}
}
