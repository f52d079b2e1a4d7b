//go:build !linux

package main

import "syscall"

// dieWithParent does nothing here: only Linux offers it.
func dieWithParent(*syscall.SysProcAttr) {}
