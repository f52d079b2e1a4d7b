package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// nuisanceClients is how many calls to a noisy canister are in flight.
const nuisanceClients = 3

// beside measures one update at a time while another canister uses all that it is allowed, in
// each of the ways whose names contain a text.
func (n *network) beside(ctx context.Context, name string, each time.Duration) error {
	module, err := u.Module(u.Export("canister_heartbeat", u.Heartbeat))
	if err != nil {
		return err
	}
	for i, way := range u.Nuisances(principal.ID{}) {
		if !strings.Contains(way.Name, name) {
			continue
		}
		if err := n.besideOne(ctx, module, i, each); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) besideOne(ctx context.Context, module []byte, way int, each time.Duration) (err error) {
	noisy, err := n.create(ctx, module)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.uninstall(ctx, noisy)) }()
	nuisance := u.Nuisances(noisy)[way]
	if nuisance.Once != nil {
		if _, err := n.client.Call(ctx, lightclient.Message{Canister: noisy, Method: u.Update, Arg: u.Seq(nuisance.Once, u.Reply(u.Text("")))}); err != nil {
			return fmt.Errorf("%s: %w", nuisance.Name, err)
		}
	}
	noise, silence := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range nuisanceClients {
		if nuisance.Each == nil {
			break
		}
		wg.Go(func() {
			for noise.Err() == nil {
				// That most of these fail is the point: they run out of instructions.
				_, _ = n.client.Call(noise, lightclient.Message{Canister: noisy, Method: u.Update, Arg: nuisance.Each})
			}
		})
	}
	err = n.load(ctx, "one update at a time beside "+nuisance.Name, 1, each, n.update)
	silence()
	wg.Wait()
	return err
}

func (n *network) uninstall(ctx context.Context, id principal.ID) error {
	arg, err := marshal.Encode(struct {
		Canister principal.ID `candid:"canister_id"`
	}{id})
	if err != nil {
		return err
	}
	_, err = n.client.Call(ctx, lightclient.Message{Method: "uninstall_code", Arg: arg, Effective: id})
	return err
}
