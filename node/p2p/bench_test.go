package p2p

import (
	"fmt"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// BenchmarkSmallArtifact is one vote among n nodes: it is published by one, received by the
// others, who publish it themselves, and it is withdrawn everywhere at the next height. The time is
// that of all nodes together, with the simulated network.
func BenchmarkSmallArtifact(b *testing.B) {
	for _, n := range []int{4, 13} {
		for _, relay := range []bool{false, true} {
			b.Run(fmt.Sprintf("nodes=%d/relay=%v", n, relay), func(b *testing.B) {
				w := newWorld(b, 1, n)
				w.delay = func(int) time.Duration { return 10 * time.Millisecond }
				bytes, frames := 0, 0
				w.sent = func(_, _ int, _ loop.Channel, encoded []byte) { bytes += len(encoded); frames++ }
				for _, n := range w.nodes {
					n.relay = relay
				}
				w.boot()
				w.run(time.Second)
				bytes, frames = 0, 0
				height := types.Height(0)
				for b.Loop() {
					height++
					from := w.nodes[int(height)%n]
					id, encoded := makeArtifact(artifact.NotarizationShare, height, uint64(height), 200)
					from.publish(Consensus, id, encoded)
					w.run(40 * time.Millisecond)
					for _, m := range w.nodes {
						if m.pools[Consensus].has[id] == nil {
							b.Fatal("the artifact did not arrive")
						}
						m.b.Withdraw(m, Consensus, func(id artifact.ID) bool { return id.Height > height-min(height, 10) })
						clear(m.pools[Consensus].received)
					}
				}
				b.ReportMetric(float64(bytes)/float64(height), "wire-B/op")
				b.ReportMetric(float64(frames)/float64(height), "frames/op")
			})
		}
	}
}
