//go:build !linux

package sim

// scratch is a folder for the files of simulated nodes; empty stands for the usual one.
func scratch() string { return "" }
