package execution

import (
	"slices"

	"portico/node/state"
)

// watchLowMemory makes the low-memory hook ready when less of the heap than the threshold is
// left, once until there is enough again (interface specification, "On low Wasm memory").
func watchLowMemory(c *state.Canister) {
	switch {
	case !lowOnMemory(c):
		c.LowMemory = state.LowMemoryNotReached
	case c.LowMemory == state.LowMemoryNotReached:
		c.LowMemory = state.LowMemoryReady
	}
}

// lowOnMemory reports whether the heap may grow by less than the threshold.
func lowOnMemory(c *state.Canister) bool {
	if c.Code == nil {
		return false
	}
	room := uint64(MaxHeapBytes)
	if limit := c.Settings.WasmMemoryLimit; limit != 0 {
		room = min(room, limit)
	}
	if allocated := c.Settings.MemoryAllocation; allocated != 0 {
		others := MemoryUsage(c) - c.Code.HeapBytes
		room = min(room, allocated-min(others, allocated))
	}
	left := room - min(c.Code.HeapBytes, room)
	return left < c.Settings.WasmMemoryThreshold
}

// queueLowMemory lets the hook run before the canister's other messages.
func (x *Executor) queueLowMemory(c *state.Canister) {
	if c.LowMemory != state.LowMemoryReady || c.Code == nil || !x.Module(c.ID, c.Code).Info().OnLowWasmMemory {
		return
	}
	x.QueueTask(c, state.LowWasmMemory)
}

// QueueTask queues a system task unless it waits already. The low-memory hook goes before all
// other messages, except one that is in the middle.
func (x *Executor) QueueTask(c *state.Canister, task state.Task) {
	if slices.ContainsFunc(c.Inbox, func(in state.Input) bool { return in.Task == task }) {
		return
	}
	at := len(c.Inbox)
	if task == state.LowWasmMemory {
		at = 0
		if x.busy(c.ID) {
			at = 1
		}
	}
	c.Inbox = slices.Insert(slices.Clone(c.Inbox), at, state.Input{Task: task})
}
