package main

import (
	"context"
	"strings"
	"syscall/js"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/certificate"
	"portico/lightclient/principal"
)

// verifyAt checks a response as of a time, in milliseconds since 1970; undefined and null mean
// the present, 0 means the time that its certificate names. Responses that were kept are
// checked so; their age is the caller's affair, and the report has the time. Version 1
// of certification counts only now, as the network is asked about it.
func verifyAt(ctx context.Context, c *lightclient.Client, v *certificate.Verifier, canister principal.ID, req *asset.Request, resp *asset.Response, at js.Value) (*asset.Verified, error) {
	if at.IsUndefined() || at.IsNull() {
		return c.VerifyResponse(ctx, canister, req, resp)
	}
	now := time.UnixMilli(int64(at.Float()))
	if at.Float() == 0 {
		var err error
		if now, err = timeOfResponse(resp); err != nil {
			return nil, err
		}
	}
	h := hashBody(resp.Body)
	resp.BodyHash = &h
	return (&asset.Verifier{Certificates: v, Decode: decode}).Verify(canister, req, resp, now)
}

// timeOfResponse is the time of the certificate in a response, unverified.
func timeOfResponse(resp *asset.Response) (time.Time, error) {
	for _, h := range resp.Headers {
		if !strings.EqualFold(h.Name, asset.CertificateHeader) {
			continue
		}
		c, err := asset.ParseCertification(h.Value)
		if err != nil {
			return time.Time{}, err
		}
		cert, err := certificate.Parse(c.Certificate)
		if err != nil {
			return time.Time{}, err
		}
		return cert.Time()
	}
	return time.Time{}, &asset.Error{Reason: asset.ReasonMissing}
}
