//go:build !linux

package wasm

import "time"

// threadTime is the time of day: there is no processor time to read here.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
