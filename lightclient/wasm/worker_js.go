//go:build !package

package main

import "syscall/js"

// more is empty for workers; see the file of agents.
func more() map[string]func(js.Value, []js.Value) any { return nil }
