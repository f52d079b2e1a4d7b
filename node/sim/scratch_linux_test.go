package sim

import "golang.org/x/sys/unix"

const (
	// memoryFolder is a file system in memory: simulated crashes lose nothing that needs a disk.
	memoryFolder = "/dev/shm"
	// minScratch is what runs need, in bytes, with room to spare.
	minScratch = 2 << 30
)

// scratch is a folder for the files of simulated nodes; empty stands for the usual one.
func scratch() string {
	var s unix.Statfs_t
	if unix.Statfs(memoryFolder, &s) != nil || s.Bavail*uint64(s.Bsize) < minScratch {
		return ""
	}
	return memoryFolder
}
