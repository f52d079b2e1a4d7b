package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"reflect"

	"portico/node/execution"
	"portico/node/replica"
	"portico/node/state"
	"portico/node/types"
)

// audit holds the states of all nodes, as they are executed for the first time or again, against
// each other and against what must be true of each and of what follows what.
type audit struct {
	fail func(error)
	// newest is the state of the greatest height.
	newest *state.State
	// whole are hashes of the states by height: all of them, not only what the tree shows.
	whole map[types.Height]types.Hash
	// gone is what was consumed at the newest height.
	gone *big.Int
	// mints are the amounts that calls bring into being if they succeed, by their arguments
	// until they are in a block, then by their ids.
	mints map[string]*big.Int
	owed  map[types.RequestID]*big.Int
	// open are the calls that have no answer at the newest height, answered those that have.
	open     map[types.RequestID]bool
	answered map[types.RequestID]*state.IngressEntry
	expiry   map[types.RequestID]types.Time
	methods  map[types.RequestID]string
	// met counts what happened: calls by method and fate, and what canisters met besides.
	met map[string]int
}

func newAudit(genesis *state.State) *audit {
	return &audit{
		newest: genesis, whole: map[types.Height]types.Hash{}, gone: new(big.Int), mints: map[string]*big.Int{}, owed: map[types.RequestID]*big.Int{},
		open: map[types.RequestID]bool{}, answered: map[types.RequestID]*state.IngressEntry{}, expiry: map[types.RequestID]types.Time{},
		methods: map[types.RequestID]string{}, met: map[string]int{},
	}
}

// expectMint says that a call with this argument, which no other call has, is to bring cycles
// into being.
func (a *audit) expectMint(arg []byte, amount *big.Int) { a.mints[string(arg)] = amount }

// take checks the state that a node made of a batch.
func (a *audit) take(s *state.State, b *replica.Batch) error {
	saved, _, err := s.Save()
	if err != nil {
		return err
	}
	whole := types.Hash(sha256.Sum256(saved))
	if known, ok := a.whole[s.Height]; ok {
		if known != whole {
			return fmt.Errorf("the whole state has hash %x, that of another node, or of an earlier life, %x", whole[:4], known[:4])
		}
		return nil
	}
	if s.Height != a.newest.Height+1 {
		return fmt.Errorf("it follows height %d", a.newest.Height)
	}
	a.whole[s.Height] = whole
	before := a.newest
	a.newest = s
	a.observe(before, s)
	minted, err := a.answers(s, b)
	if err != nil {
		return err
	}
	if err := a.books(before, s, minted); err != nil {
		return err
	}
	return responses(s)
}

// answers follows users' calls: each has one answer, which stays the same until it may be
// forgotten. It returns what those that succeeded in this round were to mint.
func (a *audit) answers(s *state.State, b *replica.Batch) (minted *big.Int, err error) {
	for _, c := range b.Calls {
		id := c.RequestID()
		a.open[id], a.expiry[id], a.methods[id] = true, c.Expiry(), c.Envelope.Request.Method
		if amount := a.mints[string(c.Envelope.Request.Arg)]; amount != nil {
			a.owed[id] = amount
		}
	}
	minted = new(big.Int)
	for id := range a.open {
		switch e := s.Ingress().Get(id); {
		case e == nil:
			return nil, fmt.Errorf("call %x, which has no answer, is forgotten", id[:4])
		case e.Status.Terminal():
			delete(a.open, id)
			a.answered[id] = e
			a.met[a.methods[id]+" "+e.Status.String()]++
			if amount := a.owed[id]; amount != nil && e.Status == state.Replied {
				minted.Add(minted, amount)
			}
		}
	}
	for id, e := range a.answered {
		switch now := s.Ingress().Get(id); {
		case now == nil && a.expiry[id] < s.Time:
			delete(a.answered, id)
		case now == nil:
			return nil, fmt.Errorf("call %x, which expires at %s, is forgotten", id[:4], a.expiry[id])
		case now != e && !reflect.DeepEqual(now, e):
			return nil, fmt.Errorf("the answer to call %x changed from %s to %s", id[:4], e.Status, now.Status)
		}
	}
	return minted, nil
}

// observe counts what a round has led to.
func (a *audit) observe(before, s *state.State) {
	for _, id := range before.IDs() {
		if s.Canister(id) == nil {
			a.met["deleted"]++
		}
	}
	for _, id := range s.IDs() {
		if old, c := before.Canister(id), s.Canister(id); old != nil {
			a.count(old, c, s.Time)
		} else {
			a.met["created"]++
		}
	}
}

// count counts what became of a canister.
func (a *audit) count(old, c *state.Canister, now types.Time) {
	is := func(what string, yes bool) {
		if yes {
			a.met[what]++
		}
	}
	is("waited", len(c.Inbox) > 0)
	// The state shows nothing of a message in the middle but that it is still there.
	is("paused", len(c.Inbox) > 0 && len(old.Inbox) > 0 && c.Inbox[0].Task == 0 && reflect.DeepEqual(c.Inbox[0], old.Inbox[0]))
	is(c.Status.String(), c.Status != old.Status)
	is("uninstalled", old.Code != nil && c.Code == nil)
	is("broke", !old.Cycles.IsZero() && c.Cycles.IsZero())
	is("snapshot", len(c.Snapshots) > len(old.Snapshots))
	is("loaded", c.TotalChanges > old.TotalChanges && len(c.History) > 0 && c.History[len(c.History)-1].Kind == state.ChangeLoadSnapshot)
	for n, ctx := range c.Contexts {
		is("orphaned", ctx.Deleted && old.Contexts[n] != nil && !old.Contexts[n].Deleted)
	}
	for n, cb := range old.Callbacks {
		is("timed out", cb.Deadline != 0 && cb.Deadline < now && !cb.Answered && (c.Callbacks[n] == nil || c.Callbacks[n].Answered))
	}
}

// books: cycles are where the ledger says; they appear only where users were given some, and what
// is consumed or gone does not come back.
func (a *audit) books(before, s *state.State, minted *big.Int) error {
	ledger := execution.LedgerOf(s)
	if err := ledger.Check(); err != nil {
		return err
	}
	appeared := new(big.Int).Sub(ledger.Minted, before.Metrics.MintedCycles.Big())
	if appeared.Cmp(minted) != 0 {
		return fmt.Errorf("cycles: %s appeared, but users were given %s", appeared, minted)
	}
	gone := new(big.Int).Add(ledger.Consumed, ledger.Gone)
	if gone.Cmp(a.gone) < 0 {
		return fmt.Errorf("cycles: %s were consumed or gone, and now %s", a.gone, gone)
	}
	a.gone = gone
	if total := s.Metrics.ConsumedCycles.Big(); total.Cmp(gone) != 0 {
		return fmt.Errorf("cycles: the metrics say that %s are consumed, the canisters %s", total, gone)
	}
	return nil
}

// settled says what is still to be done.
func (a *audit) settled() error {
	s := a.newest
	if n := len(a.open); n > 0 {
		return fmt.Errorf("%d calls have no answer", n)
	}
	if n := len(s.Management) + len(s.AwaitingRandomness); n > 0 {
		return fmt.Errorf("the management canister has %d calls waiting", n)
	}
	for _, id := range s.IDs() {
		c := s.Canister(id)
		messages := 0
		for _, in := range c.Inbox {
			if in.Task == 0 {
				messages++
			}
		}
		if messages+len(c.Contexts)+len(c.Callbacks)+len(c.Stops)+len(c.Pending) > 0 {
			return fmt.Errorf("canister %s, which is %s, has %d messages, %d call contexts, %d callbacks and %d stops", id, c.Status, messages, len(c.Contexts), len(c.Callbacks), len(c.Stops))
		}
	}
	if flying := execution.LedgerOf(s).InFlight; flying.Sign() != 0 {
		return fmt.Errorf("%s cycles are in flight", flying)
	}
	return nil
}

// caller is whoever waits for a response.
type caller struct {
	canister types.CanisterID
	callback uint64
}

// responses: for every call that has no response yet there is one place where it will come
// from; every response that waits has a call; and contexts know how many calls they wait for.
func responses(s *state.State) error {
	from := map[caller]int{}
	count := func(o state.Origin) {
		if o.Kind == state.FromCanister {
			from[caller{o.Sender, o.Callback}]++
		}
	}
	for _, in := range s.Management {
		count(in.Request.Origin)
	}
	for _, r := range s.AwaitingRandomness {
		count(r.Origin)
	}
	arrived := map[caller]int{}
	for _, id := range s.IDs() {
		c := s.Canister(id)
		for _, in := range c.Inbox {
			switch {
			case in.Request != nil:
				count(in.Request.Origin)
			case in.Response != nil:
				arrived[caller{id, in.Response.Callback}]++
			}
		}
		for _, ctx := range c.Contexts {
			if !ctx.Responded {
				count(ctx.Origin)
			}
		}
		for _, stop := range c.Stops {
			count(stop.Origin)
		}
	}
	var errs []error
	for _, id := range s.IDs() {
		errs = append(errs, callbacks(s.Canister(id), s.Time, from, arrived))
	}
	return errors.Join(errs...)
}

// callbacks checks those of one canister.
func callbacks(c *state.Canister, now types.Time, from, arrived map[caller]int) error {
	outstanding, pending := map[uint64]int{}, map[types.CanisterID]int{}
	for at := range arrived {
		if at.canister == c.ID && (c.Callbacks[at.callback] == nil || !c.Callbacks[at.callback].Answered) {
			return fmt.Errorf("canister %s: a response waits for callback %d, which does not wait for it", c.ID, at.callback)
		}
	}
	for n, cb := range c.Callbacks {
		at := caller{c.ID, n}
		switch {
		case cb.Answered && arrived[at] != 1:
			return fmt.Errorf("canister %s: callback %d is answered by %d responses", c.ID, n, arrived[at])
		case !cb.Answered && cb.Deadline != 0 && cb.Deadline < now && from[at] == 0:
			// The message that made the call was so long that the call timed out before it left: the
			// next round answers it.
		case !cb.Answered && (arrived[at] != 0 || from[at] != 1):
			return fmt.Errorf("canister %s: callback %d for a call of %s has %d responses, and %d will come", c.ID, n, cb.Callee, arrived[at], from[at])
		}
		outstanding[cb.Context]++
		pending[cb.Callee]++
	}
	for n, ctx := range c.Contexts {
		if ctx.Outstanding != outstanding[n] {
			return fmt.Errorf("canister %s: context %d waits for %d calls, and has %d", c.ID, n, ctx.Outstanding, outstanding[n])
		}
		delete(outstanding, n)
	}
	for callee, n := range c.Pending {
		if pending[callee] != n {
			return fmt.Errorf("canister %s: %d calls of %s are pending, and it has %d", c.ID, n, callee, pending[callee])
		}
	}
	if len(outstanding) > 0 {
		return fmt.Errorf("canister %s has callbacks without a context", c.ID)
	}
	return nil
}
