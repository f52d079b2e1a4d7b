package host

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// content is what a file says that other programs rewrite at any time.
//
// Writers may truncate and write, so a file that is empty, does not end with a
// newline or does not parse is one in the middle of a change: the last whole
// content stays in force until the file is whole again.
type content[T any] struct {
	mu     sync.Mutex
	stamp  stamp
	latest T
	told   string // the last complaint, which is not repeated
}

// stamp tells versions of a file apart. Times have the grain of the file system,
// so a version younger than that may be followed by another one that looks the
// same: it is not settled and is read again.
type stamp struct {
	modified time.Time
	size     int64
	settled  bool
}

// grain is longer than the step of any file system's clock.
const grain = 50 * time.Millisecond

// read gives what the file says now; here is false, and the content empty, if there is none.
func (c *content[T]) read(path string, parse func(string) (T, error), log *slog.Logger) (latest T, here bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		var none T
		c.latest, c.stamp = none, stamp{}
		return none, !errors.Is(err, fs.ErrNotExist)
	}
	now := stamp{info.ModTime(), info.Size(), time.Since(info.ModTime()) > grain}
	if now == c.stamp && now.settled {
		return c.latest, true
	}
	text, err := os.ReadFile(path)
	if err == nil && !strings.HasSuffix(string(text), "\n") {
		return c.latest, true
	}
	var parsed T
	if err == nil {
		parsed, err = parse(string(text))
	}
	if err != nil {
		if log != nil && c.told != err.Error() {
			c.told = err.Error()
			log.Warn("a file cannot be used as it is: what it said before stays in force", "file", path, "err", err)
		}
		return c.latest, true
	}
	c.latest, c.stamp, c.told = parsed, now, ""
	return c.latest, true
}
