package heap

import (
	"os"

	"golang.org/x/sys/unix"
)

// clone makes to, which is empty, share the content of from, where the file system can do that
// (XFS, Btrfs, bcachefs): it takes milliseconds whatever the size. It reports whether it did.
func clone(to, from *os.File) bool {
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil
}
