package sse

import (
	"time"

	"github.com/sluice-gateway/sluice/qos/message"
)

// AppendEvent frames m as the entrypoint does.
func AppendEvent(dst []byte, m *message.Message, headers, metadata bool) []byte {
	f := framer{form: form{headers: headers, metadata: metadata}}
	return f.AppendMessage(dst, m)
}

// SetHeartbeat changes the interval below what a configuration may say.
func SetHeartbeat(e *Entrypoint, d time.Duration) { e.heartbeat = d }
