// Package types holds the plain data that the layers of a node share: heights,
// time, cycles, reject codes and batches. It has no behaviour beyond arithmetic and text.
package types

import (
	"time"

	"portico/lightclient/principal"
)

// Height numbers the rounds of a subnet; the genesis state has height 0.
type Height uint64

// Time is nanoseconds since 1970-01-01T00:00:00Z.
type Time uint64

// TimeOf converts a time.Time at or after 1970.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Add returns t + d, saturating at zero.
func (t Time) Add(d time.Duration) Time {
	if d < 0 && Time(-d) > t {
		return 0
	}
	return t + Time(d)
}

// Sub returns t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Std converts to the standard library's time in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// String is the time as RFC 3339 with nanoseconds.
func (t Time) String() string { return t.Std().Format(time.RFC3339Nano) }

// NodeID identifies a node: the self-authenticating principal of its Ed25519 key.
type NodeID = principal.ID

// SubnetID identifies a subnet: the self-authenticating principal of its BLS key.
type SubnetID = principal.ID

// CanisterID identifies a canister.
type CanisterID = principal.ID

// Hash is a SHA-256 digest.
type Hash = [32]byte

// RequestID is the representation-independent hash of a request's content
// (interface specification, "Request ids").
type RequestID [32]byte

// Memory sizes.
const (
	KiB = 1 << 10
	MiB = 1 << 20
	GiB = 1 << 30

	// WasmPageBytes is the unit in which memories grow.
	WasmPageBytes = 64 * KiB
	// OSPageBytes is the unit in which changed memory is tracked.
	OSPageBytes = 4 * KiB
)
