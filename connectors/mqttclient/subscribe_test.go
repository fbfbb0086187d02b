package mqttclient

import (
	"net"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestSubscribe_BrokerDown(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	e := run(t, config(ln.Addr().String(), "t", ""), connectors.Limits{})
	begun := time.Now()
	_, err = trySubscribe(t, e, level(qos.Auto), connectors.SubscribeOptions{})
	failed(t, err, 500, message.KeyConnectionFailed)
	if took := time.Since(begun); took > joinTimeout {
		t.Errorf("answered after %s", took)
	}
}
