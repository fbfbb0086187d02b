//go:build e2e

package kafka

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// A member in a process of its own, so that it can be killed: this program, with its orders in the environment.
const (
	envConfig   = "SLUICE_TEST_MEMBER"
	envInstance = "SLUICE_TEST_INSTANCE"
	envGroup    = "SLUICE_TEST_GROUP"
)

// beMember writes a line per message that it gets, and proves every second one, until it is killed.
func beMember() error {
	ctx := context.Background()
	e, err := New(json.RawMessage(os.Getenv(envConfig)), nil, connectors.Env{API: &exchange.API{ID: "killed"},
		Limits: connectors.Limits{CheckpointEvery: 50 * time.Millisecond}})
	if err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	wake := make(chan struct{}, 1)
	s, err := e.Subscribe(ctx, leastOnce(os.Getenv(envGroup)), connectors.SubscribeOptions{Instance: os.Getenv(envInstance),
		Wake: func() { notify(wake) }})
	if err != nil {
		return err
	}
	for n := 0; ; {
		view, err := s.Poll(10)
		if err != nil {
			return err
		}
		for i := range view {
			if n++; n%2 == 0 {
				s.Acknowledge(&view[i])
			}
			fmt.Println(string(view[i].Content))
		}
		if len(view) > 0 {
			continue
		}
		select {
		case <-wake:
		case err := <-ran:
			return err
		}
	}
}

// killable starts a member; lines are what it gets.
func (s *site) killable(group, instance string) (cmd *exec.Cmd, lines chan string) {
	s.t.Helper()
	cmd = exec.CommandContext(s.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envInstance+"="+instance, envGroup+"="+group, envConfig+"="+
		fmt.Sprintf(`{"bootstrapServers":%q,"topics":[%q],"consumer":{"autoOffsetReset":"earliest"}}`, strings.Join(s.seeds, ","), s.topic))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines = make(chan string, 10_000)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead
		for range lines {
		}
		_ = cmd.Wait()
	})
	return cmd, lines
}

// TestReal_KilledMember kills a worker's process that has a membership, static or not, and unproved messages. Whoever has its
// partitions next, under the same name at once, and otherwise when its session is over, gets them; nothing is lost.
func TestReal_KilledMember(t *testing.T) {
	for name, tc := range map[string]struct {
		instance string
		within   time.Duration
	}{
		"static":  {"dispatcher", sessionTimeout},
		"dynamic": {"", 2*sessionTimeout + 20*time.Second}, // and a rebalance, on a busy machine
	} {
		t.Run(name, func(t *testing.T) {
			s := realSite(t, kafka.Get(t), 4)
			group := "killed-" + s.topic
			s.produce(200)
			cmd, lines := s.killable(group, tc.instance)
			seen := map[string]bool{}
			for range 200 {
				text, ok := <-lines
				if !ok {
					t.Fatalf("the member ended after %d messages", len(seen))
				}
				seen[text] = true
			}
			var other *client
			if tc.instance == "" { // it is there already, with some of the partitions soon
				other = s.worker("", connectors.Limits{}).mustOpen(leastOnce(group), connectors.SubscribeOptions{})
			}
			s.produce(200)
			for text := range lines { // it has got some of the new ones
				if seen[text] = true; len(seen) > 220 {
					break
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if other == nil {
				other = s.worker("", connectors.Limits{}).mustOpen(leastOnce(group), connectors.SubscribeOptions{Instance: tc.instance})
			}
			for text := range lines { // until its end
				seen[text] = true
			}
			again := 0
			for first := true; len(seen) < s.sent || again == 0; {
				m := other.take(1)[0]
				if m.Kind != message.Data {
					continue
				}
				if first && tc.instance != "" {
					first = false
					if took := time.Since(begun); took > tc.within {
						t.Errorf("taken over after %v", took)
					}
				}
				if seen[string(m.Content)] {
					again++
				}
				seen[string(m.Content)] = true
				other.sub.DeliveredThrough(&m)
			}
			took := time.Since(begun)
			if took > tc.within && tc.instance == "" {
				t.Errorf("all was there after %v", took)
			}
			t.Logf("complete %v after the kill, %d messages came again", took.Round(time.Millisecond), again)
		})
	}
}
