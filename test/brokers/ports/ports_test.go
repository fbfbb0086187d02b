package ports_test

import (
	"net"
	"testing"

	"github.com/sluice-gateway/sluice/test/brokers/ports"
)

func TestLeaseN_GivesNoPortTwice(t *testing.T) {
	leased, err := ports.LeaseN(200)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range leased {
		if seen[p.Number] {
			t.Errorf("port %d is leased twice", p.Number)
		}
		seen[p.Number] = true
		p.Release()
	}
}

func TestLease_PortCanBeListenedOn(t *testing.T) {
	p, err := ports.Lease()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	ln, err := net.Listen("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}
