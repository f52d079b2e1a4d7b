package fakenet

import (
	"crypto/sha256"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// SignatureTree is the tree in which a canister signs msg with a seed; value is what
// stands at its leaf, nothing if it is right.
func SignatureTree(seed, msg, value []byte) hashtree.Tree {
	s, m := sha256.Sum256(seed), sha256.Sum256(msg)
	return Tree(E(value, "sig", string(s[:]), string(m[:])))
}

// EncodeSignature is the canister signature of a certificate and a tree.
func EncodeSignature(certificate []byte, t hashtree.Tree) []byte {
	b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 2)
	b = cbor.AppendBytes(cbor.AppendText(b, "certificate"), certificate)
	return hashtree.Append(cbor.AppendText(b, "tree"), t)
}

// CanisterSignature signs msg as a canister of the other subnet does with a seed, in
// a certificate of the time at.
func (n *Network) CanisterSignature(at time.Time, canister principal.ID, seed, msg []byte) []byte {
	t := SignatureTree(seed, msg, nil)
	return EncodeSignature(n.CertifyData(at, canister, t.Hash()), t)
}
