// Command assetpeer answers questions about HTTP response certification, so that
// other implementations can be compared with this one. It reads JSON objects from
// its standard input, one a line, and writes one answer for each:
//
//	{"op":"generate"}        -> an array of exchanges with right certification
//	{"op":"verify", …case}   -> {"ok":…, "reason":…, "version":…, "scope":…, "headers":…}
//
// Byte strings are base64, times are nanoseconds in decimal.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/principal"
)

// testCase is an exchange and the circumstances of its verification.
type testCase struct {
	Op              string      `json:"op,omitempty"`
	Name            string      `json:"name"`
	Method          string      `json:"method"`
	URL             string      `json:"url"`
	RequestHeaders  [][2]string `json:"requestHeaders"`
	RequestBody     []byte      `json:"requestBody"`
	Status          uint16      `json:"status"`
	ResponseHeaders [][2]string `json:"responseHeaders"`
	ResponseBody    []byte      `json:"responseBody"`
	Canister        []byte      `json:"canister"`
	RootKey         []byte      `json:"rootKey"`
	Time            string      `json:"time"`
}

// verdict is what came of a verification.
type verdict struct {
	OK      bool        `json:"ok"`
	Reason  string      `json:"reason,omitempty"`
	Version int         `json:"version,omitempty"`
	Scope   string      `json:"scope,omitempty"`
	Headers [][2]string `json:"headers,omitempty"`
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "assetpeer:", err)
		os.Exit(1)
	}
}

func serve() error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	d := json.NewDecoder(in)
	keys := bls.NewVerifier()
	verifiers := map[string]*asset.Verifier{}
	for d.More() {
		var c testCase
		if err := d.Decode(&c); err != nil {
			return err
		}
		var answer any
		switch c.Op {
		case "generate":
			answer = generate()
		case "verify":
			v := verifiers[string(c.RootKey)]
			if v == nil {
				v = &asset.Verifier{
					Certificates:  &certificate.Verifier{RootKey: c.RootKey, BLS: keys.Verify},
					AllowVersion1: func(principal.ID) error { return nil },
					Decode:        asset.Decode,
				}
				verifiers[string(c.RootKey)] = v
			}
			var err error
			if answer, err = verify(v, &c); err != nil {
				return err
			}
		default:
			return errors.New("unknown op " + strconv.Quote(c.Op))
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func verify(v *asset.Verifier, c *testCase) (verdict, error) {
	id, err := principal.FromBytes(c.Canister)
	if err != nil {
		return verdict{}, err
	}
	ns, err := strconv.ParseInt(c.Time, 10, 64)
	if err != nil {
		return verdict{}, err
	}
	req := &asset.Request{Method: c.Method, URL: c.URL, Headers: toHeaders(c.RequestHeaders), Body: c.RequestBody}
	resp := &asset.Response{Status: c.Status, Headers: toHeaders(c.ResponseHeaders), Body: c.ResponseBody}
	got, err := v.Verify(id, req, resp, time.Unix(0, ns))
	if err != nil {
		return verdict{Reason: err.Error()}, nil
	}
	return verdict{OK: true, Version: got.Report.Version, Scope: got.Report.Scope.String(), Headers: fromHeaders(got.Headers)}, nil
}

func toHeaders(pairs [][2]string) []asset.Header {
	var out []asset.Header
	for _, p := range pairs {
		out = append(out, asset.Header{Name: p[0], Value: p[1]})
	}
	return out
}

func fromHeaders(headers []asset.Header) [][2]string {
	out := [][2]string{}
	for _, h := range headers {
		out = append(out, [2]string{h.Name, h.Value})
	}
	return out
}
