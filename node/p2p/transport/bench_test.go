package transport

import (
	"context"
	"testing"

	"portico/node/loop"
)

// stream sends frames from one node to another as fast as they arrive, with a window
// of frames on the way.
func stream(b *testing.B, length, window int) {
	members := network(b, 2)
	places := make(chan struct{}, window)
	to := start(b, members[1], records(members), DefaultLimits(), func(_ context.Context, ev loop.Event) bool {
		_, frame := ev.(loop.Received)
		if frame {
			<-places
		}
		return frame
	})
	from := start(b, members[0], records(members), DefaultLimits(), nil)
	from.await(b, loop.Connected{Peer: to.self})
	to.await(b, loop.Connected{Peer: from.self})
	frame := make([]byte, length)
	b.SetBytes(int64(length))
	b.ReportAllocs()
	for b.Loop() {
		places <- struct{}{}
		from.Send(to.self, loop.Consensus, frame)
	}
	for range window {
		places <- struct{}{}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	if c := from.Stats()[0].Channels[loop.Consensus]; c.Dropped != 0 {
		b.Errorf("stats %+v", c)
	}
}

func BenchmarkSmallFrames(b *testing.B) { stream(b, 200, 2048) }

func BenchmarkLargeFrames(b *testing.B) { stream(b, 1<<20, 8) }

func BenchmarkThereAndBack(b *testing.B) {
	members := network(b, 2)
	back := make(chan struct{}, 1)
	var nodes [2]*running
	ready := make(chan struct{})
	nodes[1] = start(b, members[1], records(members), DefaultLimits(), func(_ context.Context, ev loop.Event) bool {
		r, frame := ev.(loop.Received)
		if frame {
			<-ready
			nodes[1].Send(r.From, r.Channel, r.Frame)
		}
		return frame
	})
	close(ready)
	nodes[0] = start(b, members[0], records(members), DefaultLimits(), func(_ context.Context, ev loop.Event) bool {
		_, frame := ev.(loop.Received)
		if frame {
			back <- struct{}{}
		}
		return frame
	})
	nodes[0].await(b, loop.Connected{Peer: nodes[1].self})
	nodes[1].await(b, loop.Connected{Peer: nodes[0].self})
	frame := make([]byte, 200)
	for b.Loop() {
		nodes[0].Send(nodes[1].self, loop.Consensus, frame)
		<-back
	}
}
