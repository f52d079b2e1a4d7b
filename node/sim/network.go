package sim

import (
	"time"

	"portico/node/loop"
	"portico/node/types"
)

// Weather is how frames travel. Chances are of a thousand frames, except for Break.
type Weather struct {
	// A frame takes Delay and up to Jitter more; the Slow ones take ten times as long.
	Delay, Jitter time.Duration
	Slow          int
	// Lost frames vanish; Doubled ones arrive twice; frames that are Overtaken do not
	// keep the order of their channel.
	Lost, Doubled, Overtaken int
	// Break is of a million frames: those that take their connection with them.
	Break int
	// Queue is how many frames may be under way in one direction; more are lost.
	Queue int
}

// Fair is the weather of a good day between data centres.
func Fair() Weather {
	return Weather{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond, Queue: 20_000}
}

// SetWeather is for frames sent from now on.
func (w *World) SetWeather(weather Weather) { w.weather = weather }

// pair is the connection between two nodes.
type pair struct {
	world *World
	ends  [2]*host // the one with the lower index first
	cut   [2]bool  // by direction: from ends[0], from ends[1]
	open  bool
	// gen counts the connections: what was under way on an older one is lost.
	gen int
	// told is when both ends will have heard of the last disconnection.
	told types.Time
	// under is the number of frames under way, latest the last arrival, by direction and
	// channel.
	under  [2]int
	latest [2][loop.Channels]types.Time
}

func (w *World) pair(a, b int) *pair {
	if a < b {
		a, b = b, a
	}
	return w.pairs[a*(a-1)/2+b]
}

// Times that it takes to notice that a connection is gone and to make another.
const (
	maxNotice  = 500 * time.Millisecond
	minConnect = 5 * time.Millisecond
	maxConnect = 500 * time.Millisecond
)

// connect makes a connection some time later, if it can then be made.
func (p *pair) connect() {
	w := p.world
	at := max(w.now.Add(w.between(minConnect, maxConnect)), p.told+1)
	gen := p.gen
	w.push(item{at: at, act: func() {
		if p.open || p.gen != gen || p.cut[0] || p.cut[1] || p.ends[0].handler == nil || p.ends[1].handler == nil {
			return
		}
		p.open = true
		for i, h := range p.ends {
			w.push(item{at: w.now, to: h, life: h.life, event: loop.Connected{Peer: p.ends[1-i].id}})
		}
	}})
}

// disconnect loses the connection and what is under way. Those that are up hear of it.
func (p *pair) disconnect() {
	p.gen++
	p.under = [2]int{}
	if !p.open {
		return
	}
	p.open = false
	w := p.world
	for i, h := range p.ends {
		if h.handler == nil {
			continue
		}
		at := w.now.Add(w.upTo(maxNotice))
		p.told = max(p.told, at)
		w.push(item{at: at, to: h, life: h.life, event: loop.Disconnected{Peer: p.ends[1-i].id}})
	}
}

// reset is a connection that breaks and is made again.
func (p *pair) reset() {
	p.disconnect()
	p.connect()
}

func (p *pair) send(from, to *host, ch loop.Channel, frame []byte) {
	w, way := p.world, 0
	if p.ends[1] == from {
		way = 1
	}
	if !p.open || p.cut[way] || w.chance(w.weather.Lost) {
		return
	}
	if w.weather.Break > 0 && w.rand.IntN(1_000_000) < w.weather.Break {
		w.score.Note(from.index, "break", "the connection to node %d", to.index)
		p.reset()
		return
	}
	copies := 1
	if w.chance(w.weather.Doubled) {
		copies++
	}
	for range copies {
		if p.under[way] >= w.weather.Queue {
			return
		}
		p.under[way]++
		delay := w.weather.Delay + w.upTo(w.weather.Jitter)
		if w.chance(w.weather.Slow) {
			delay *= 10
		}
		at := w.now.Add(delay)
		if !w.chance(w.weather.Overtaken) {
			at = max(at, p.latest[way][ch])
			p.latest[way][ch] = at
		}
		w.push(item{
			at: at, to: to, life: to.life, flight: p, gen: p.gen, way: way,
			event: loop.Received{From: from.id, Channel: ch, Frame: frame},
		})
	}
}

// land ends the journey of a frame and reports whether it arrives.
func (p *pair) land(it item) bool {
	if p.gen != it.gen {
		return false
	}
	p.under[it.way]--
	return !p.cut[it.way]
}

// Partition cuts every link between different groups; nodes that are in none are alone.
func (w *World) Partition(groups ...[]int) {
	side := make([]int, len(w.hosts))
	for i := range side {
		side[i] = -1 - i
	}
	for g, nodes := range groups {
		for _, i := range nodes {
			side[i] = g
		}
	}
	for a := range w.hosts {
		for b := range a {
			if side[a] != side[b] {
				w.pair(a, b).close()
			}
		}
	}
}

func (p *pair) close() {
	p.cut = [2]bool{true, true}
	p.disconnect()
}

// CutOneWay loses silently whatever is sent from one node to another: neither hears
// of it until it is healed, by a connection made anew.
func (w *World) CutOneWay(from, to int) {
	way := 0
	if from > to {
		way = 1
	}
	w.pair(from, to).cut[way] = true
}

// Heal mends every link.
func (w *World) Heal() {
	for _, p := range w.pairs {
		if p.cut[0] || p.cut[1] {
			p.cut = [2]bool{}
			p.reset()
		}
	}
}
