//go:build e2e

package kafka

import (
	"testing"

	"github.com/sluice-gateway/sluice/test/brokers"
)

func realSite(t testing.TB, k *brokers.Kafka, partitions int) *site {
	return newSite(t, k.Addrs(), k.Topic(t, partitions), int32(partitions))
}

func TestReal_LeastOnceSavesWhatIsProved(t *testing.T) {
	testLeastOnceSavesWhatIsProved(t, realSite(t, kafka.Get(t), 3))
}

func TestReal_MostOnceHandsOutWhatIsSaved(t *testing.T) {
	testMostOnceHandsOutWhatIsSaved(t, realSite(t, kafka.Get(t), 3))
}

func TestReal_MembersShareAtLeastOnce(t *testing.T) {
	testMembersShare(t, realSite(t, kafka.Get(t), 6), false)
}

func TestReal_MembersShareAtMostOnce(t *testing.T) {
	testMembersShare(t, realSite(t, kafka.Get(t), 6), true)
}

func TestReal_Takeover(t *testing.T)         { testTakeover(t, realSite(t, kafka.Get(t), 2)) }
func TestReal_PageLeastOnce(t *testing.T)    { testPages(t, realSite(t, kafka.Get(t), 3), false) }
func TestReal_PageMostOnce(t *testing.T)     { testPages(t, realSite(t, kafka.Get(t), 3), true) }
func TestReal_PageBesideStream(t *testing.T) { testPageBesideStream(t, realSite(t, kafka.Get(t), 2)) }
