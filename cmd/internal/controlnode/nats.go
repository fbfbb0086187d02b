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
	if l := cfg.ExternalNATS; l != nil {
		return natsserver.Dial(natsserver.DialConfig{
			Node: cfg.Node, Servers: l.Servers, TLS: l.TLS, Login: l.Login, Explain: l.Explain, Log: cfg.Log,
		})
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

// authorizer tells what a client may do: the control plane everything of Sluice's, a worker what the name and tags that
// it connects with allow. Workers share one key, so this keeps them apart by their word; see DESIGN.md.
func authorizer(id *identity.Identity) (func(natsserver.Client) (wire.Permissions, bool), error) {
	control, err := publicKey(id, identity.RoleControl)
	if err != nil {
		return nil, err
	}
	worker, err := publicKey(id, identity.RoleWorker)
	if err != nil {
		return nil, err
	}
	return func(c natsserver.Client) (wire.Permissions, bool) {
		switch c.Nkey {
		case control:
			return wire.ControlPermissions(), true
		case worker:
			claim, err := wire.ParseClaim(c.Name)
			if err != nil {
				return wire.Permissions{}, false
			}
			p, err := claim.Permissions()
			return p, err == nil
		}
		return wire.Permissions{}, false
	}, nil
}

func publicKey(id *identity.Identity, role identity.Role) (string, error) {
	pair, err := id.NATSUser(role)
	if err != nil {
		return "", err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return "", fmt.Errorf("NATS key of %s: %w", role, err)
	}
	return public, nil
}
