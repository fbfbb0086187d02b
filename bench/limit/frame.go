package limit

import (
	"context"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
)

// writer writes the same frames to its connections. Only their stamps are made anew for each write.
type writer struct {
	job    load.Job
	buf    []byte
	frame  int // bytes of one
	stamps int // where the stamp of a frame is
}

func newWriter(job load.Job) *writer {
	body := make([]byte, job.Size)
	load.Fill(body)
	var head, tail string
	if job.Form == load.WebSocket {
		head = string([]byte{0x81, 126, byte(job.Size >> 8), byte(job.Size)})
		if job.Size < 126 {
			head = string([]byte{0x81, byte(job.Size)})
		}
	} else {
		head, tail = "id: dG9waWNAMCMwMDAwMDAwMDAw\nevent: message\ndata: ", "\n\n"
	}
	one := head + string(body) + tail
	w := &writer{job: job, frame: len(one), stamps: len(head)}
	for range max(perWrite/len(one), 1) {
		w.buf = append(w.buf, one...)
	}
	return w
}

// prepare stamps n frames, from number first on, and returns their bytes.
func (w *writer) prepare(n int, first int64, at func(int64) int64) []byte {
	for i := range n {
		number := first + int64(i)
		load.Stamp(w.buf[i*w.frame+w.stamps:], number, at(number))
	}
	return w.buf[:n*w.frame]
}

func (w *writer) write(ctx context.Context, conns []net.Conn, start time.Time) error {
	most := int64(len(w.buf) / w.frame)
	at := func(int64) int64 { return 0 }
	due := func(sent int64) int64 { return w.job.Total - sent }
	if w.job.Rate > 0 {
		at = func(n int64) int64 {
			return start.Add(time.Duration(float64(n) / w.job.Rate * float64(time.Second))).UnixNano()
		}
		due = func(sent int64) int64 {
			load.WaitUntil(time.Unix(0, at(sent)))
			return min(int64(time.Since(start).Seconds()*w.job.Rate)+1, w.job.Total) - sent
		}
	}
	for sent := int64(0); sent < w.job.Total && ctx.Err() == nil; {
		n := min(max(due(sent), 1), most)
		p := w.prepare(int(n), sent, at)
		for _, c := range conns {
			if _, err := c.Write(p); err != nil {
				return err
			}
		}
		sent += n
	}
	return nil
}
