// Command certpeer lets tests in other languages ask this repository's certificate
// and envelope packages: one question a line on standard input, one answer a line
// on standard output. Binary values are in hexadecimal, "-" if empty.
//
//	key N                                 the DER key whose secret is the number N
//	sign N MESSAGE                        its BLS signature
//	verify ROOT canister ID NOW CERT      "ok", or the type of the error and its text;
//	verify ROOT subnet ID NOW CERT        NOW is in nanoseconds since 1970
//	envelope BYTES                        "ok", the request id, and what each delegation signs; or "refused" and the error
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
)

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "certpeer:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	const maxLine = 16 << 20
	p := &peer{bls: bls.NewVerifier(), verifiers: map[string]*certificate.Verifier{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		answer, err := p.answer(strings.Fields(lines.Text()))
		if err != nil {
			return fmt.Errorf("question %.80q: %w", lines.Text(), err)
		}
		if _, err := fmt.Fprintln(out, strings.ReplaceAll(answer, "\n", " ")); err != nil {
			return err
		}
	}
	return lines.Err()
}

type peer struct {
	bls       *bls.Verifier
	verifiers map[string]*certificate.Verifier // by root key
}

func (p *peer) answer(q []string) (string, error) {
	switch {
	case len(q) == 2 && q[0] == "key":
		return p.key(q[1])
	case len(q) == 3 && q[0] == "sign":
		return p.sign(q[1], q[2])
	case len(q) == 6 && q[0] == "verify":
		return p.verify(q[1], q[2], q[3], q[4], q[5])
	case len(q) == 2 && q[0] == "envelope":
		return p.envelope(q[1])
	default:
		return "", fmt.Errorf("no such question")
	}
}

func (p *peer) key(secret string) (string, error) {
	n, err := strconv.ParseInt(secret, 10, 64)
	if err != nil {
		return "", err
	}
	_, _, _, g2 := bls12381.Generators()
	var k bls12381.G2Affine
	b := k.ScalarMultiplication(&g2, big.NewInt(n)).Bytes()
	return hex.EncodeToString(bls.ToDER(b[:])), nil
}

func (p *peer) sign(secret, message string) (string, error) {
	n, err := strconv.ParseInt(secret, 10, 64)
	if err != nil {
		return "", err
	}
	msg, err := unhex(message)
	if err != nil {
		return "", err
	}
	h, err := bls12381.HashToG1(msg, []byte(bls.DST))
	if err != nil {
		return "", err
	}
	var s bls12381.G1Affine
	b := s.ScalarMultiplication(&h, big.NewInt(n)).Bytes()
	return hex.EncodeToString(b[:]), nil
}

func (p *peer) verify(root, kind, id, now, cert string) (string, error) {
	v := p.verifiers[root]
	if v == nil {
		key, err := unhex(root)
		if err != nil {
			return "", err
		}
		v = &certificate.Verifier{RootKey: key, BLS: p.bls.Verify}
		p.verifiers[root] = v
	}
	who, err := principal.Parse(id)
	if err != nil {
		return "", err
	}
	ns, err := strconv.ParseInt(now, 10, 64)
	if err != nil {
		return "", err
	}
	b, err := unhex(cert)
	if err != nil {
		return "", err
	}
	check := v.Canister
	if kind == "subnet" {
		check = v.Subnet
	}
	if _, err := check(b, who, time.Unix(0, ns)); err != nil {
		return fmt.Sprintf("%T %v", err, err), nil
	}
	return "ok", nil
}

func (p *peer) envelope(text string) (string, error) {
	b, err := unhex(text)
	if err != nil {
		return "", err
	}
	e, err := envelope.Decode(b)
	if err != nil {
		return "refused " + err.Error(), nil
	}
	answer := "ok " + hex.EncodeToString(e.RequestID[:])
	for _, d := range e.SenderDelegation {
		answer += " " + hex.EncodeToString(d.Delegation.SignedBytes())
	}
	return answer, nil
}

func unhex(s string) ([]byte, error) {
	if s == "-" {
		return nil, nil
	}
	return hex.DecodeString(s)
}
