package brokers

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Redis is a running redis-server that keeps nothing on disk.
type Redis struct{ *Daemon }

// StartRedis starts a redis-server that ends with the test.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	d, err := newDaemon("redis-server", "redis-server", t.TempDir(), redisAnswers)
	if err != nil {
		t.Fatal(err)
	}
	d.command.args = []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(d.port.Number), "--save", "", "--appendonly", "no"}
	if err := d.Restart(t.Context()); err != nil {
		d.Close()
		t.Fatal(err)
	}
	r := &Redis{d}
	r.endWith(t)
	return r
}

// URL is the address as Redis clients want it.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// redisAnswers asks for a PONG.
func redisAnswers(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+PONG") {
		err = fmt.Errorf("answered %q", line)
	}
	return err
}
