package rates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/policies/rates"
)

// Bounds of Redis.
const (
	redisTimeout = 500 * time.Millisecond // for one call, connecting included
	redisPrefix  = "sluice:rates:"
)

// count adds a call to a window, begins one where there is none, and returns the calls and what is left of the window in
// milliseconds. Redis runs it as one, and by its own clock.
var count = redis.NewScript(`
local calls = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {calls, left}`)

// Redis counts in one place for all workers, exactly, and past their end. Lazy calls are counted beside it, for they need
// not be exact.
type Redis struct {
	client *redis.Client
	lazy   rates.Counters
}

// NewRedis returns counters in the Redis at an address such as redis://user:password@host:6379/0, or rediss:// for TLS. Lazy
// calls go to lazy. It does not connect yet.
func NewRedis(url string, lazy rates.Counters) (*Redis, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("rates: no address of a Redis such as redis://user:password@host:6379/0") // the cause may hold the password
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = redisTimeout, redisTimeout, redisTimeout, redisTimeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1 // a call that was counted and not answered must not be counted twice
	return &Redis{client: redis.NewClient(o), lazy: lazy}, nil
}

// Hit implements rates.Counters.
func (r *Redis) Hit(ctx context.Context, c rates.Call) (rates.Count, error) {
	if c.Lazy {
		return r.lazy.Hit(ctx, c)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	now := time.Now()
	length := max(1, c.Period.After(now).Sub(now).Milliseconds())
	out, err := count.Run(ctx, r.client, []string{redisPrefix + c.Key.Text()}, length).Int64Slice()
	if err != nil {
		return rates.Count{}, fmt.Errorf("count in Redis: %w", err)
	}
	if len(out) != 2 {
		return rates.Count{}, fmt.Errorf("count in Redis: %d values instead of 2", len(out))
	}
	return rates.Count{Calls: out[0], Reset: now.Add(time.Duration(out[1]) * time.Millisecond)}, nil
}

// Run waits for the end and closes the connections.
func (r *Redis) Run(ctx context.Context, log *slog.Logger) error {
	<-ctx.Done()
	if err := r.client.Close(); err != nil {
		log.Warn("close Redis", "err", err)
	}
	return nil
}

var (
	_ rates.Counters = (*Redis)(nil)
	_ rates.Counters = (*Exchange)(nil)
)
