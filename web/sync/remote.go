package sync

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"portico/lightclient/candid/marshal"
)

// A Canister is the asset canister to be filled. It must allow concurrent use.
type Canister interface {
	Call(ctx context.Context, method string, arg []byte) (reply []byte, err error)
	Query(ctx context.Context, method string, arg []byte) (reply []byte, err error)
}

// remote speaks the canister's interface.
type remote struct{ canister Canister }

func (r remote) call(ctx context.Context, method string, arg any, results ...any) error {
	return exchange(ctx, r.canister.Call, method, arg, results)
}

func (r remote) query(ctx context.Context, method string, arg any, results ...any) error {
	return exchange(ctx, r.canister.Query, method, arg, results)
}

func exchange(ctx context.Context, send func(context.Context, string, []byte) ([]byte, error), method string, arg any, results []any) error {
	b, err := marshal.Encode(arg)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	reply, err := send(ctx, method, b)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if err := marshal.Decode(reply, results...); err != nil {
		return fmt.Errorf("the reply of %s: %w", method, err)
	}
	return nil
}

const (
	// listPage is how many assets canisters list at a time.
	listPage = 100
	// pagesAhead is how many pages are asked for at once after the first.
	pagesAhead = 8
	// maxAssets bounds what a canister may list.
	maxAssets = 1_000_000
	// neededVersion of the interface has create_chunks and last_chunk.
	neededVersion = 2
)

// assets lists what the canister has, by key.
func (r remote) assets(ctx context.Context) (map[string]*assetDetails, error) {
	var version uint16
	if err := r.query(ctx, "api_version", empty{}, &version); err != nil {
		return nil, err
	}
	if version < neededVersion {
		return nil, fmt.Errorf("the asset canister has version %d of the interface: upgrade it to one with version %d", version, neededVersion)
	}
	out := map[string]*assetDetails{}
	for start, pages := uint64(0), 1; start < maxAssets; pages = pagesAhead {
		found := make([][]assetDetails, pages)
		group, inGroup := errgroup.WithContext(ctx)
		for i := range found {
			at, length := start+uint64(i)*listPage, uint64(listPage)
			group.Go(func() error { return r.query(inGroup, "list", listArg{&at, &length}, &found[i]) })
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for _, page := range found {
			for i := range page {
				out[page[i].Key] = &page[i]
			}
			if len(page) < listPage {
				return out, r.complete(ctx, out)
			}
		}
		start += uint64(pages) * listPage
	}
	return nil, fmt.Errorf("the canister lists more than %d assets", maxAssets)
}

// complete asks for the properties of assets that are listed without any: there are
// canisters that list none.
func (r remote) complete(ctx context.Context, assets map[string]*assetDetails) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pagesAhead)
	for key, a := range assets {
		if a.MaxAge != nil || a.Headers != nil || a.AllowRawAccess != nil || a.IsAliased != nil {
			continue
		}
		group.Go(func() error {
			var p assetProperties
			if err := r.query(ctx, "get_asset_properties", key, &p); err != nil {
				return err
			}
			a.MaxAge, a.Headers, a.AllowRawAccess, a.IsAliased = p.MaxAge, p.Headers, p.AllowRawAccess, p.IsAliased
			return nil
		})
	}
	return group.Wait()
}
