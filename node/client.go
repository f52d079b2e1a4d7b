package main

import (
	"crypto/ed25519"
	"crypto/rand"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/envelope"
	"portico/node/crypto/bls"
)

// newClient makes a client that verifies everything under a root key; identity may
// be nil for the anonymous one.
func newClient(t lightclient.Transport, rootKey []byte, identity envelope.Identity) *lightclient.Client {
	return lightclient.New(lightclient.Config{
		Transport: t, RootKey: rootKey, BLS: bls.VerifyBLS, Ed25519: verifyEd25519, Rand: rand.Reader, Identity: identity, Decode: asset.Decode,
	})
}

func verifyEd25519(publicKey, message, sig []byte) bool {
	return len(publicKey) == ed25519.PublicKeySize && ed25519.Verify(publicKey, message, sig)
}
