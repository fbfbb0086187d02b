package limit

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sluice-gateway/sluice/bench/load"
)

// server runs a limit until the test ends and returns its address; begin has it go.
func server(t *testing.T, job load.Job) (url string, begin func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, begun, ended := make(chan string, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, job, load.Tell{Go: begun, Say: func(_, addr string) { ready <- addr }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case addr := <-ready:
		return "http://" + addr + "/", func() { close(begun) }
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return "", nil
}

// client does a job; during is called when it measures.
func client(t *testing.T, job load.Job, during func()) load.Outcome {
	t.Helper()
	begin := make(chan struct{})
	out, err := load.Run(t.Context(), job, load.Tell{Go: begin, Say: func(event, _ string) {
		switch event {
		case load.Ready:
			close(begin)
		case load.Measuring:
			during()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func nothing() {}

func TestFrames_AllArriveInBothForms(t *testing.T) {
	for _, form := range []string{load.SSE, load.WebSocket} {
		for _, rate := range []float64{0, 5000} {
			for _, size := range []int{64, 1024} {
				t.Run(fmt.Sprint(form, rate, size), func(t *testing.T) {
					url, begin := server(t, load.Job{Do: Frames, Form: form, Clients: 3, Size: size, Total: 500, Rate: rate, Live: true})
					out := client(t, load.Job{Do: load.Stream, Form: form, URL: url, Clients: 3, Total: 500, Live: true}, begin)
					if out.Delivered != 1500 || out.Lost != 0 || out.Duplicated != 0 || out.Sent != 1500 {
						t.Errorf("%+v", out)
					}
					if timed := out.Latency != nil; timed != (rate > 0) {
						t.Errorf("latency %+v at rate %v", out.Latency, rate)
					}
				})
			}
		}
	}
}

// What never comes must be counted as lost, not waited for or forgotten.
func TestStream_CountsWhatIsMissing(t *testing.T) {
	url, _ := server(t, load.Job{Do: Frames, Clients: 1, Size: 64, Total: 90})
	job := load.Job{Do: load.Stream, URL: url, Clients: 1, Total: 100, Quiet: 100 * time.Millisecond}
	if out := client(t, job, nothing); out.Delivered != 90 || out.Lost != 10 {
		t.Errorf("%+v", out)
	}
}

func kafka(t *testing.T, topic string) []string {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k.ListenAddrs()
}

func TestGlue_StoresWhatItAnswers(t *testing.T) {
	brokers := kafka(t, "t")
	url, _ := server(t, load.Job{Do: Glue, Brokers: brokers, Topic: "t"})
	for range 2 { // the second run counts its own messages only
		out := client(t, load.Job{Do: load.Post, URL: url, Brokers: brokers, Topic: "t", Clients: 4, Size: 64, Warm: time.Millisecond, For: 50 * time.Millisecond, Rate: 200}, nothing)
		if out.Sent == 0 || out.Delivered != out.Sent || out.Lost != 0 || out.Failed != 0 || out.Duplicated != 0 || out.Latency == nil || out.Latency.Count != 10 {
			t.Errorf("%+v", out)
		}
	}
}

// A server that says 202 and stores nothing must be found out.
func TestPost_FindsWhatWasPromisedAndIsNotStored(t *testing.T) {
	brokers := kafka(t, "t")
	url, _ := server(t, load.Job{Do: HTTP})
	out := client(t, load.Job{Do: load.Post, URL: url, Brokers: brokers, Topic: "t", Clients: 2, Size: 64, For: 20 * time.Millisecond}, nothing)
	if out.Sent == 0 || out.Lost != out.Sent || out.Delivered != 0 {
		t.Errorf("%+v", out)
	}
}

// A server that answers late must not slow the sending of what comes after: the wait is in the latency (no coordinated omission).
func TestPost_LatencyHoldsTheWait(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	stop := make(chan struct{})
	defer close(stop)
	const every = 20 * time.Millisecond
	go func() { // one answer per connection and 20 ms
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		p := make([]byte, 4096)
		for {
			if _, err := c.Read(p); err != nil {
				return
			}
			select {
			case <-time.After(every):
			case <-stop:
				return
			}
			if _, err := c.Write([]byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")); err != nil {
				return
			}
		}
	}()
	out := client(t, load.Job{Do: load.Post, URL: "http://" + ln.Addr().String() + "/", Clients: 1, Size: 64, For: 100 * time.Millisecond, Rate: 200}, nothing)
	// 20 messages meant for 5 ms each, answered one by one in 20 ms: the last waits for 20 x 20 ms - 95 ms.
	if out.Latency.Count != 20 || out.Latency.Max < 290_000 {
		t.Errorf("latency %+v", out.Latency)
	}
}

func TestProduceAndConsume_All(t *testing.T) {
	brokers := kafka(t, "t")
	if out := client(t, load.Job{Do: load.Produce, Brokers: brokers, Topic: "t", Size: 64, Total: 1000}, nothing); out.Delivered != 1000 {
		t.Errorf("produced %+v", out)
	}
	if out := client(t, load.Job{Do: load.Consume, Brokers: brokers, Topic: "t", Total: 1000}, nothing); out.Delivered != 1000 || out.Duplicated != 0 {
		t.Errorf("consumed %+v", out)
	}
	live := client(t, load.Job{Do: load.Consume, Brokers: brokers, Topic: "t", Total: 200, Live: true}, func() {
		client(t, load.Job{Do: load.Produce, Brokers: brokers, Topic: "t", Size: 64, Total: 200, Rate: 2000}, nothing)
	})
	if live.Delivered != 200 || live.Latency == nil || live.Latency.Count != 200 {
		t.Errorf("consumed live %+v", live)
	}
}
