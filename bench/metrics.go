package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// metric asks the worker for the sum of some of its metrics of one API.
func (r *runner) metric(ctx context.Context, api string, names ...string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.worker.Admin+"/_node/metrics/prometheus", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+r.worker.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the worker's metrics: %s", res.Status)
	}
	return sum(res.Body, api, names...)
}

// subscribed waits until an API has so many subscriptions at its broker.
func (r *runner) subscribed(ctx context.Context, api string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, servedWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := r.metric(ctx, api, "sluice_kafka_subscribers", "sluice_mqtt5_subscribers", "sluice_mqtt_subscribers")
		if err == nil && n == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the API has %d subscriptions at the broker, not %d: %w", n, want, ctx.Err())
		}
	}
}

// sum adds the samples of an API in metrics of some names, in the text format of Prometheus.
func sum(metrics io.Reader, api string, names ...string) (n int, err error) {
	lines, of := bufio.NewScanner(metrics), []byte(`"`+api+`"`)
	for lines.Scan() {
		for _, name := range names {
			rest, ok := bytes.CutPrefix(lines.Bytes(), []byte(name+"{"))
			if !ok || !bytes.Contains(rest, of) {
				continue
			}
			v, err := strconv.ParseFloat(string(rest[bytes.LastIndexByte(rest, ' ')+1:]), 64)
			if err != nil {
				return 0, fmt.Errorf("metric %s: %w", name, err)
			}
			n += int(v)
		}
	}
	return n, lines.Err()
}
