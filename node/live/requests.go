package live

import (
	"context"
	"errors"

	"portico/lightclient/envelope"
	"portico/node/api"
	"portico/node/execution"
	"portico/node/ingress"
	"portico/node/replica"
	"portico/node/types"
)

// certified is the newest certified state, or *api.Unavailable.
func (s *States) certified() (*snapshot, error) {
	if shown := s.snapshot.Load(); shown != nil {
		return shown, nil
	}
	return nil, &api.Unavailable{Reason: "this replica has just started and has no certified state yet; try again in a few seconds"}
}

// await waits for a certified state that is such as is wanted.
func (s *States) await(ctx context.Context, wanted func(*snapshot) bool) (*snapshot, error) {
	for {
		s.mu.Lock()
		next := s.next
		s.mu.Unlock()
		if shown := s.snapshot.Load(); shown != nil && wanted(shown) {
			return shown, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-next:
		}
	}
}

// Inspect asks the newest certified state, of which there must be one, whether it would take
// a call; nil is yes. It may be called at any time from anywhere, like Query.
func (s *States) Inspect(r *envelope.Request) *types.Reject {
	if r.Canister.IsManagement() {
		return s.executor.InspectManagement(queryOf(r))
	}
	return s.executor.Inspect(queryOf(r))
}

// Query answers a query call from the newest certified state, of which there must be one.
func (s *States) Query(r *envelope.Request) ([]byte, *types.Reject) {
	if r.Canister.IsManagement() {
		return s.executor.QueryManagement(queryOf(r))
	}
	return s.executor.Query(queryOf(r))
}

func queryOf(r *envelope.Request) execution.Query {
	q := execution.Query{Canister: r.Canister, Method: r.Method, Arg: r.Arg, Sender: r.Sender}
	if r.SenderInfo != nil {
		q.CallerInfo, q.CallerSigner = r.SenderInfo.Info, r.SenderInfo.Signer
	}
	return q
}

// Certified implements api.Replica.
func (r *Replica) Certified() (api.Snapshot, error) {
	s, err := r.states.certified()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Await implements api.Replica.
func (r *Replica) Await(ctx context.Context, id types.RequestID) (api.Snapshot, error) {
	s, err := r.states.await(ctx, func(s *snapshot) bool {
		e := s.view.Request(id)
		return e != nil && e.Status.Terminal()
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Submit implements api.Replica.
func (r *Replica) Submit(ctx context.Context, call api.Ingress) (*types.Reject, error) {
	s, err := r.states.certified()
	if err != nil {
		return nil, err
	}
	req := &call.Envelope.Request
	if s.view.Request(call.ID()) != nil {
		return nil, nil
	}
	if r.states.full.Load() {
		return types.Rejectf(types.ErrIngressHistoryFull, "The subnet can remember no more calls than it does now, until some of them expire"), nil
	}
	if rej := r.states.Inspect(req); rej != nil {
		return rej, nil
	}
	c, err := ingress.Open(ingress.Message{Envelope: call.Raw, Effective: call.Effective.ID})
	if err != nil {
		return nil, err
	}
	return nil, r.hand(ctx, c)
}

// hand gives a call to the node and waits until its pool has it.
func (r *Replica) hand(ctx context.Context, c *ingress.Call) error {
	done := make(chan error, 1)
	stopping := &api.Unavailable{Reason: "this replica is stopping; try another"}
	if !r.driver.post(replica.Submit{Call: c, Done: func(err error) { done <- err }}) {
		return stopping
	}
	select {
	case err := <-done:
		if errors.Is(err, ingress.ErrFull) {
			return &api.Busy{Reason: err.Error()}
		}
		return err
	case <-r.driver.over:
		return stopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Query implements api.Replica.
func (r *Replica) Query(_ context.Context, q api.Query) ([]byte, *types.Reject, error) {
	if _, err := r.states.certified(); err != nil {
		return nil, nil, err
	}
	reply, rej := r.states.Query(q.Request)
	return reply, rej, nil
}

// Status implements api.Replica.
func (r *Replica) Status() api.Status {
	status := api.Status{RootKey: r.states.subnet.RootKey, Version: Version}
	if s := r.states.snapshot.Load(); s != nil {
		status.Healthy, status.CertifiedHeight = !r.failed.Load(), s.view.Height
	}
	return status
}
