package live

import (
	"context"
	"errors"

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
	q := execution.Query{Canister: req.Canister, Method: req.Method, Arg: req.Arg, Sender: req.Sender}
	if req.SenderInfo != nil {
		q.CallerInfo, q.CallerSigner = req.SenderInfo.Info, req.SenderInfo.Signer
	}
	inspect := r.states.executor.Inspect
	if req.Canister.IsManagement() {
		inspect = r.states.executor.InspectManagement
	}
	if rej := inspect(q); rej != nil {
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
	query := execution.Query{Canister: q.Request.Canister, Method: q.Request.Method, Arg: q.Request.Arg, Sender: q.Request.Sender}
	if q.Request.SenderInfo != nil {
		query.CallerInfo, query.CallerSigner = q.Request.SenderInfo.Info, q.Request.SenderInfo.Signer
	}
	run := r.states.executor.Query
	if q.Request.Canister.IsManagement() {
		run = r.states.executor.QueryManagement
	}
	reply, rej := run(query)
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
