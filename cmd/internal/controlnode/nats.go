package controlnode

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/sluice-gateway/sluice/cmd/internal/run"
	"github.com/sluice-gateway/sluice/controlplane/identity"
	"github.com/sluice-gateway/sluice/controlplane/natsserver"
	"github.com/sluice-gateway/sluice/proto/wire"
)

// connect starts the embedded NATS server, unless an external cluster is given, and returns this node's connection.
func (n *Node) connect(cfg Config, id *identity.Identity) (*nats.Conn, error) {
	if len(cfg.NATSURLs) > 0 {
		return natsserver.Dial(natsserver.DialConfig{Node: cfg.Node, Servers: cfg.NATSURLs, CredsFile: cfg.NATSCreds, Log: cfg.Log})
	}
	control, err := id.NATSUser(identity.RoleControl)
	if err != nil {
		return nil, err
	}
	seed, err := control.Seed()
	if err != nil {
		return nil, fmt.Errorf("NATS seed: %w", err)
	}
	authorize, err := authorizer(id)
	if err != nil {
		return nil, err
	}
	sc := natsserver.Config{Node: cfg.Node, Listen: cfg.NATSAddr, TLS: id.ServerTLS(), InProcessOnly: cfg.NATSAddr == "", Authorize: authorize, Log: cfg.Log}
	if cfg.NATSClusterAddr != "" {
		sc.Cluster = &natsserver.ClusterConfig{Name: id.ClusterID(), Listen: cfg.NATSClusterAddr, Peers: cfg.NATSRoutes, TLS: id.PeerTLS()}
	}
	if n.NATS, err = natsserver.New(sc); err != nil {
		return nil, err
	}
	n.Runners = append(n.Runners, run.Runner{Name: "NATS", Run: n.NATS.Run})
	return natsserver.Dial(natsserver.DialConfig{Node: cfg.Node, InProcess: n.NATS, Seed: seed, Log: cfg.Log})
}

// authorizer tells what the holder of a NATS key may do: each role has one key.
func authorizer(id *identity.Identity) (func(nkey string) (wire.Permissions, bool), error) {
	allowed := map[string]wire.Permissions{}
	for role, permissions := range map[identity.Role]wire.Permissions{
		identity.RoleControl: wire.ControlPermissions(),
		identity.RoleWorker:  wire.SharedWorkerPermissions(),
	} {
		pair, err := id.NATSUser(role)
		if err != nil {
			return nil, err
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("NATS key of %s: %w", role, err)
		}
		allowed[public] = permissions
	}
	return func(nkey string) (wire.Permissions, bool) { p, ok := allowed[nkey]; return p, ok }, nil
}
