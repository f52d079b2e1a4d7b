package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// scattered says that a file is read here and there. Reading ahead would take time, and leave large
// folios in the page cache: a page that is written later dirties all of its folio.
func scattered(f *os.File) {
	// Advice that is not taken changes nothing.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
}
