package problem

import (
	"errors"
	"fmt"
	"testing"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/certificate"
)

func TestErrorsAreExplained(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		title  string
	}{
		{&asset.Error{Reason: asset.ReasonBody}, 503, "Verification failed"},
		{fmt.Errorf("wrapped: %w", &lightclient.VerificationError{What: "x", Err: errors.New("y")}), 503, "Verification failed"},
		{&lightclient.Reject{Code: 3, ErrorCode: "IC0301"}, 404, "No such canister"},
		{&lightclient.Reject{Code: 5, ErrorCode: "IC0509"}, 503, "Canister stopped"},
		{&lightclient.Reject{Code: 2, ErrorCode: "IC0207"}, 503, "Canister out of cycles"},
		{&lightclient.Reject{Code: 5, ErrorCode: "IC0536"}, 503, "No web page"},
		{&lightclient.Reject{Code: 5, ErrorCode: "IC0537"}, 503, "Canister empty"},
		{&lightclient.Reject{Code: 4}, 503, "Canister error"},
		{&lightclient.TooLargeError{Limit: 1}, 503, "Answer too large"},
		{&lightclient.ResponseError{Err: errors.New("x")}, 503, "Invalid answer"},
		{&lightclient.TransportError{Err: errors.New("x")}, 503, "Network unreachable"},
		{&lightclient.StatusError{Status: 429}, 429, "Network refused"},
		{&lightclient.StatusError{Status: 400}, 503, "Network refused"},
		{&lightclient.StatusError{Status: 400, Text: "it is not in the canister ranges of subnet x"}, 404, "No such canister"},
		{&lightclient.StatusError{Status: 500, Text: "canister_not_found"}, 503, "Network refused"},
		{errors.New("x"), 503, "Canister error"},
	} {
		if p := Of(c.err); p.Status != c.status || p.Title != c.title || p.Reason != c.err.Error() || p.Text == "" {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
}

func TestARefusalNamesTheCheckThatFailed(t *testing.T) {
	seen := map[string]asset.Reason{}
	for r := asset.ReasonMissing; r <= asset.ReasonResponse; r++ {
		p := Of(&asset.Error{Reason: r})
		if p.Check == "" || p.Next == "" || !p.Retry {
			t.Errorf("%v: %+v", r, p)
		}
		seen[p.Check] = r
	}
	if len(seen) != int(asset.ReasonResponse)-1 { // two are about the version
		t.Errorf("%d names for %d reasons", len(seen), asset.ReasonResponse)
	}
	for want, err := range map[string]error{
		"time of the certificate":  &certificate.TimeError{},
		"range of the subnet":      &certificate.RangeError{},
		"delegation to the subnet": &certificate.DelegationError{},
		"signature of the network": &certificate.SignatureError{Err: errors.New("x")},
		"authenticity of the x":    errors.New("y"),
	} {
		if p := Of(&lightclient.VerificationError{What: "x", Err: err}); p.Check != want {
			t.Errorf("%v: %q, want %q", err, p.Check, want)
		}
	}
}
