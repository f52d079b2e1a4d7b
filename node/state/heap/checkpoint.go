//go:build unix

package heap

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"portico/node/types"
)

// A Delta says what a checkpoint has that an earlier one has not.
type Delta struct {
	Since   uint64 // number of the earlier checkpoint of this Memory; 0 = as it was opened
	Number  uint64 // number of this checkpoint
	Size    uint64 // bytes
	Changed []Range
}

// Changed are the published pages changed since the last checkpoint, in order.
func (m *Memory) Changed() []Range {
	m.io.Lock()
	defer m.io.Unlock()
	return m.changes()
}

func (m *Memory) changes() []Range {
	rs := within(m.changed.ranges(), min(m.low, m.size))
	if m.low < m.size {
		rs = appendRange(rs, m.low, m.size-m.low)
	}
	return rs
}

// Checkpoints is the number of checkpoints taken since the memory was opened.
func (m *Memory) Checkpoints() uint64 {
	m.io.Lock()
	defer m.io.Unlock()
	return m.seq
}

// Checkpoint makes path, which must not exist and must be on the working file's file system, a
// durable copy of the published content; the caller syncs the directory. The file at path must
// not be written by anybody, and is never again by the Memory while the link is there.
func (m *Memory) Checkpoint(path string) (Delta, error) {
	d, sync, err := m.Link(path)
	if err != nil {
		return d, err
	}
	defer m.Settle()
	return d, sync()
}

// Link is Checkpoint without waiting for the disk: the copy is durable when sync has returned,
// which may be called while rounds go on. Until Settle, a Publish of a large memory that would
// have to copy all of it waits instead, because the checkpoint before this one, which goes when
// this one stands, has the file that makes that needless.
func (m *Memory) Link(path string) (d Delta, sync func() error, err error) {
	m.io.Lock()
	defer m.io.Unlock()
	d, err = m.link(path)
	if err != nil {
		return d, nil, err
	}
	m.settling = true
	writes, synced := m.writes, m.writes == m.synced
	return d, func() error {
		if synced {
			return nil
		}
		if err := (&inode{path: path}).with((*os.File).Sync); err != nil {
			return fmt.Errorf("heap: checkpoint %s: %w", path, err)
		}
		m.io.Lock()
		defer m.io.Unlock()
		m.synced = max(m.synced, writes)
		return nil
	}, nil
}

// Settle says that the checkpoint that Link began stands, or never will.
func (m *Memory) Settle() {
	m.io.Lock()
	defer m.io.Unlock()
	m.settling = false
	m.settled.Broadcast()
}

// smallCopy is what is copied rather than waited for.
const smallCopy = 16 * types.MiB

// awaitSpare waits while a checkpoint is being made, if the spare belongs to the one before it
// and a copy of all data would be dearer than that of what changed since.
func (m *Memory) awaitSpare() error {
	for m.settling && m.spare != nil {
		sole, err := soleLink(m.spare.path)
		if err != nil || sole {
			return err
		}
		data, err := dataBytes(m.work.path)
		if err != nil || data <= max(smallCopy, 2*m.stale.bytes()) {
			return err
		}
		m.settled.Wait()
	}
	return nil
}

// dataBytes is how much of a file is no hole.
func dataBytes(path string) (uint64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("heap: %w", err)
	}
	const statBlock = 512 // bytes, whatever the file system's block is
	return uint64(st.Sys().(*syscall.Stat_t).Blocks) * statBlock, nil
}

func (m *Memory) link(path string) (Delta, error) {
	if m.work == nil {
		return Delta{}, fmt.Errorf("heap: %s: closed", m.path)
	}
	if m.torn != nil {
		return Delta{}, fmt.Errorf("heap: checkpoint of %s before it is published again: %w", m.path, m.torn)
	}
	if err := os.Link(m.work.path, path); err != nil {
		return Delta{}, fmt.Errorf("heap: checkpoint: %w", err)
	}
	d := Delta{Since: m.seq, Number: m.seq + 1, Size: m.size, Changed: m.changes()}
	m.seq++
	clear(m.changed)
	m.low = m.size
	return d, nil
}

// Prepare does ahead of time what the first Publish after a checkpoint otherwise does: it
// brings the spare up to date. Worth calling, off the round's path, once the checkpoint before
// the last is gone, for memories that are likely to be written again.
func (m *Memory) Prepare() error {
	m.io.Lock()
	defer m.io.Unlock()
	if m.work == nil || m.settling {
		return nil
	}
	if sole, err := soleLink(m.work.path); err != nil || sole {
		return err
	}
	f, err := m.readySpare()
	if err != nil {
		return err
	}
	return closeFile(f)
}

// OpenCheckpoint opens a memory at path whose content is that of a checkpoint, by a hard link;
// a file that is at path already is removed. Nothing counts as changed since the checkpoint.
func OpenCheckpoint(checkpoint, path string, b Backend) (*Memory, error) {
	if err := remove(path); err != nil {
		return nil, err
	}
	if err := os.Link(checkpoint, path); err != nil {
		return nil, fmt.Errorf("heap: %w", err)
	}
	m, err := Open(path, b)
	if err != nil {
		return nil, err
	}
	m.low = m.size
	m.synced = m.writes
	return m, nil
}

// copyRanges copies pages between files that both have them.
func copyRanges(to, from *os.File, rs []Range) error {
	buf := make([]byte, 0, types.MiB)
	for _, r := range rs {
		for off, end := r.Off, r.Off+r.Len; off < end; off += uint64(len(buf)) {
			buf = buf[:min(end-off, types.MiB)]
			if _, err := from.ReadAt(buf, int64(off)); err != nil {
				return fmt.Errorf("reading %d bytes at %d: %w", len(buf), off, err)
			}
			// Page by page: a long write makes the page cache use large folios, into which
			// each later write of one page takes ten times as long (ext4, Linux 6.18).
			for i := 0; i < len(buf); i += PageBytes {
				if _, err := to.WriteAt(buf[i:i+PageBytes], int64(off)+int64(i)); err != nil {
					return fmt.Errorf("writing the page at %d: %w", int(off)+i, err)
				}
			}
		}
	}
	return nil
}

// copySparse makes to, which is empty, a copy of the first size bytes that shares them if the file
// system can do that, and has holes where from has them if not.
func copySparse(to, from *os.File, size uint64) error {
	if clone(to, from) {
		return to.Truncate(int64(size))
	}
	if err := to.Truncate(int64(size)); err != nil {
		return err
	}
	return eachData(from, size, func(r Range) error {
		return copyRanges(to, from, []Range{r})
	})
}

// eachData calls do, in order, for the parts of the first size bytes of f that are not holes, in
// whole pages.
func eachData(f *os.File, size uint64, do func(Range) error) error {
	for off := uint64(0); off < size; {
		data, err := f.Seek(int64(off), unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if errors.Is(err, unix.EINVAL) {
			return do(Range{off, size - off}) // a file system that does not know its holes
		}
		if err != nil {
			return fmt.Errorf("looking for data from %d on: %w", off, err)
		}
		hole, err := f.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("looking for a hole from %d on: %w", data, err)
		}
		start := uint64(data) / PageBytes * PageBytes
		end := min((uint64(hole)+PageBytes-1)/PageBytes*PageBytes, size)
		if start >= size {
			return nil
		}
		if err := do(Range{start, end - start}); err != nil {
			return err
		}
		off = end
	}
	return nil
}
