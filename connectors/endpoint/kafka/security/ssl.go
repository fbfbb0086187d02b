package security

import "github.com/sluice-gateway/sluice/connectors/tlsstore"

// nameCheck is what decides the name that a broker's certificate must bear.
const nameCheck = "bootstrapServers and the brokers' advertised.listeners"

// ssl checks the block, and makes a transport where the protocol has TLS.
func (c *checker) ssl(at, protocol string, cfg *tlsstore.SSL) *tlsstore.Transport {
	t, ps := cfg.Read(at, nameCheck)
	c.problems = append(c.problems, ps...)
	switch protocol {
	case protocolSSL, protocolSASLSSL:
		return t
	case protocolPlain, protocolSASLPlaintext:
		if t.HasStores() {
			c.fail(at, "has no effect with protocol "+protocol+"; choose SSL or SASL_SSL")
		}
	}
	return nil
}
