package p2p

import "portico/node/types"

// Stats are the figures of a Broadcast: for metrics, and for tests of what is bounded.
type Stats struct {
	Live    [Streams]int // slots of this node that hold something
	Adverts [Streams]int // distinct artifacts that peers hold or that are asked for
	Peers   []PeerStats  // ascending
}

// PeerStats are the figures of the link to one peer; the counters since it became one.
type PeerStats struct {
	Node      types.NodeID
	Connected bool
	Credit    int64 // negative in debt

	FramesIn, FramesOut uint64
	BytesIn, BytesOut   uint64

	Garbage  uint64 // frames that were not frames
	Offences uint64 // what cost credit, garbage included
	Ignored  uint64 // updates and answers for want of credit
	Dropped  uint64 // updates of slots beyond the limit
	Repeated uint64 // updates sent again
	Asked    uint64 // fetches
	Late     uint64 // of them not answered in time
	Received uint64 // artifacts handed to a client
	Served   uint64 // fetches of the peer that were answered
	Refused  uint64 // and those that were too many

	Slots       [Streams]int // size of the table of the peer's slots
	Queued      int          // updates that wait to be sent
	Unconfirmed int          // updates sent and not acknowledged
	Outstanding int          // fetches under way
}

// Stats returns the figures of now.
func (b *Broadcast) Stats(now types.Time) Stats {
	var out Stats
	for s := range b.streams {
		out.Live[s] = len(b.streams[s].live)
		out.Adverts[s] = len(b.streams[s].adverts)
	}
	for _, p := range b.peers {
		st := p.stats
		st.Node, st.Connected, st.Credit = p.node, p.connected, p.credit.left(now)
		for s := range p.links {
			l := &p.links[s]
			st.Slots[s] = len(l.heard)
			st.Queued += len(l.queue)
			st.Unconfirmed += l.flying
		}
		st.Outstanding = len(p.outstanding)
		out.Peers = append(out.Peers, st)
	}
	return out
}
