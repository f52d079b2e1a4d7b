package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/consensus"
	"portico/node/live"
	"portico/node/registry"
	"portico/node/replica"
	"portico/node/state"
	"portico/node/types"
)

// calm lets users fill the subnet with canisters.
const calm = 8 * time.Second

// canisterRun is a subnet of four nodes with real states.
type canisterRun struct {
	seed     uint64
	workshop *workshop
	dir      string
	states   []*canisterStates
	audit    *audit
	author   *author
	subnet   *Subnet
	// stuck is a canister that users are to start, as it may wait for itself to stop; helped is
	// when they did so last.
	stuck  *state.Canister
	helped types.Time
}

// canisterStates are live.States on a folder that outlives their node's lives.
type canisterStates struct {
	*live.States
	run     *canisterRun
	records *registry.Records
	dir     string
	shown   types.Height // of what users see, 0 for nothing
}

// Crash opens what a process that was killed has left.
func (s *canisterStates) Crash() (err error) {
	if s.States != nil {
		if err := s.States.Close(); err != nil {
			return err
		}
	}
	s.States, err = live.OpenStates(live.StatesConfig{
		Dir: s.dir, Records: s.records, Engine: s.run.workshop.engine, Limits: simulatedLimits(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.States = nil
	}
	s.shown = 0
	return err
}

// Certify implements replica.States.
func (s *canisterStates) Certify(c *consensus.Aggregate) (func() (types.Hash, error), error) {
	out, err := s.States.Certify(c)
	if err == nil {
		s.shown = c.Height
	}
	return out, err
}

// Execute implements replica.States. Every state that comes out is audited.
func (s *canisterStates) Execute(b *replica.Batch) (replica.Executed, error) {
	out, err := s.States.Execute(b)
	if err == nil {
		if err := s.run.audit.take(s.State(), b); err != nil {
			s.run.audit.fail(fmt.Errorf("height %d: %w", b.Height, err))
		}
	}
	return out, err
}

// open makes the states of a node, which begin with Crash.
func (r *canisterRun) open(records *registry.Records) States {
	of := *records
	of.Subnet.High.Coefficients = [][]byte{r.workshop.key}
	of.Subnet.Provisional, of.Subnet.CostNodes = true, 13
	s := &canisterStates{run: r, records: &of, dir: filepath.Join(r.dir, fmt.Sprint(len(r.states)))}
	r.states = append(r.states, s)
	return s
}

// request draws a call. As gateways do, it asks what users see whether the canister would take the
// call, and mostly obeys; instead of some calls it makes a query.
func (r *canisterRun) request() (envelope.Request, principal.ID, bool) {
	if c := r.stuck; c != nil {
		r.stuck = nil
		return r.author.manage(c.ID, "start_canister", encode(target{c.ID}))
	}
	call, effective, ok := r.author.request()
	call.Sender = principal.Anonymous()
	if r.author.chance(15) {
		call, ok = r.author.query(), false
		r.ask("query", func(s *live.States) (out answer) {
			out.reply, out.reject = s.Query(&call)
			return out
		})
	} else if r.ask("inspect", func(s *live.States) answer { return answer{reject: s.Inspect(&call)} }).reject != nil {
		ok = r.author.chance(10)
	}
	return call, effective, ok
}

const (
	// patient is one of so many seeds in which canisters that wait for themselves get no help
	// and give up after five minutes.
	patient = 10
	// helpPause is between the calls by which users help.
	helpPause = 5 * time.Second
)

// settled says what is still to be done once users have gone. They come back to help canisters
// that wait for themselves.
func (r *canisterRun) settled() error {
	err := r.audit.settled()
	if err == nil || r.seed%patient == 0 || r.subnet.World.Now() < r.helped.Add(helpPause) {
		return err
	}
	s := r.audit.newest
	for _, id := range s.IDs() {
		if c := s.Canister(id); c.Status == state.Stopping {
			r.stuck, r.helped = c, r.subnet.World.Now()
			r.subnet.Load.Call()
			break
		}
	}
	return err
}

// answer is what a node says to a user without asking others.
type answer struct {
	reply  []byte
	reject *types.Reject
}

// ask asks all nodes that show the newest state; they must answer the same. It returns nothing if
// no node shows any.
func (r *canisterRun) ask(what string, question func(*live.States) answer) (out answer) {
	newest := types.Height(1)
	for _, s := range r.states {
		newest = max(newest, s.shown)
	}
	asked := 0
	for i, s := range r.states {
		if s.shown != newest {
			continue
		}
		a := question(s.States)
		if asked++; asked > 1 {
			r.audit.met["compared"]++
		}
		if asked > 1 && !reflect.DeepEqual(a, out) {
			r.audit.fail(fmt.Errorf("%s at height %d: states %d answer %x, %v, others %x, %v", what, newest, i, a.reply, a.reject, out.reply, out.reject))
		}
		out = a
	}
	return out
}

func (r *canisterRun) close() error {
	var errs []error
	for _, s := range r.states {
		if s.States != nil {
			errs = append(errs, s.States.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}

// run runs a seed. The error is of this machine's, and of closing what it left.
func (w *workshop) run(seed uint64) (Result, *audit, error) {
	dir, err := os.MkdirTemp(w.dir, "seed")
	if err != nil {
		return Result{}, newAudit(state.New(start, 0)), err
	}
	r := &canisterRun{seed: seed, workshop: w, dir: dir}
	r.audit = newAudit(state.New(start, 0))
	r.author = &author{
		r: rand.New(rand.NewPCG(seed, 0x617574686f72)), state: func() *state.State { return r.audit.newest },
		modules: w.modules, minted: r.audit.expectMint,
	}
	result := Run(seed, Options{
		ScoreLines: 200, Nodes: 4, Calm: calm, States: r.open, Request: r.request, Settled: r.settled,
		Began: func(s *Subnet) { r.subnet, r.audit.fail = s, s.World.Fail },
	})
	return result, r.audit, r.close()
}
