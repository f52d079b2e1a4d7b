package serve

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"portico/lightclient"
	"portico/lightclient/asset"
)

// maxRangeProbe is how much of a body that comes by callbacks is read for a request of
// a range, in bytes, before its pieces are asked for instead.
const maxRangeProbe = 4 << 20

// asker asks the canister of an exchange.
type asker func(ctx context.Context, req *asset.Request, opt lightclient.HTTPOptions) (*lightclient.HTTPResponse, error)

// partly asks for a range. Canisters certify long bodies in pieces, for ranges that begin
// where one does; asked for another range they give the whole, which may be long. Then the
// beginning, which has the length of a piece, tells which piece to ask for.
func partly(ctx context.Context, ask asker, req *asset.Request, opt lightclient.HTTPOptions) (*lightclient.HTTPResponse, error) {
	first, _, ok := simpleRange(valueOf(req.Headers, "range"))
	if !ok {
		return ask(ctx, req, opt)
	}
	probe := opt
	probe.MaxBody, probe.Reread = maxRangeProbe, false
	resp, err := ask(ctx, req, probe)
	var long *lightclient.TooLargeError
	if !errors.As(err, &long) {
		return resp, err
	}
	plain := *req
	plain.Headers = without(req.Headers, "range", "if-range")
	whole, err := ask(ctx, &plain, probe)
	if errors.As(err, &long) { // it has no pieces
		return ask(ctx, &plain, opt)
	}
	if err != nil || whole.Status != http.StatusOK || whole.Next == nil || !rangeHolds(req, whole) {
		return whole, err
	}
	total, err := strconv.ParseInt(valueOf(whole.Headers, "content-length"), 10, 64)
	piece := int64(len(whole.Body))
	if err != nil || piece == 0 || first >= total {
		return whole, nil
	}
	if first < piece {
		span := "bytes 0-" + strconv.FormatInt(piece-1, 10) + "/" + strconv.FormatInt(total, 10)
		whole.Status, whole.Next = http.StatusPartialContent, nil
		whole.Headers = append(without(whole.Headers, "content-length"), asset.Header{Name: "content-range", Value: span})
		return whole, nil
	}
	aligned := plain
	aligned.Headers = append(plain.Headers, asset.Header{Name: "Range", Value: "bytes=" + strconv.FormatInt(first/piece*piece, 10) + "-"})
	return ask(ctx, &aligned, opt)
}
