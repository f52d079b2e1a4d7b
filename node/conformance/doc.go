// Package conformance checks from outside that a running network behaves as the
// interface specification says. Every behaviour is one subtest with an id: a letter for
// the part of the specification, as in the specification's reference tests, and a number.
//
// The tests need the built program. "make conformance" builds it, starts a network of
// NODES replicas and prints a table of what passed, what failed and what does not apply
// yet; "go test" on this package does the same on one replica.
package conformance
