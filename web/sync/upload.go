package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// chunkBytes is how much content one call carries: calls have at most 2 MiB, and
	// canisters serve chunks as they came.
	chunkBytes = 1_900_000
	// openBins is how many calls are filled at the same time with what is smaller.
	openBins = 4
	// maxPieces bounds the chunks in a call.
	maxPieces = 1000
	// inlineBytes is how much content the commit itself may bring.
	inlineBytes = 900_000
	// cleanup is how long giving an upload up may take.
	cleanup = 10 * time.Second
)

// piece is one chunk of a variant.
type piece struct {
	of    *variant
	index int
	data  []byte
}

// uploader puts contents into chunks and chunks into calls, some of which are under
// way at the same time. Its methods may be used by several goroutines.
type uploader struct {
	remote
	calls *errgroup.Group // of create_chunks
	ctx   context.Context // ends when one of them fails

	open  sync.Once
	batch uint64 // zero is none
	err   error  // of opening it

	mu   sync.Mutex
	bins [][]piece // each is to be one call

	planned, sent, count atomic.Int64 // bytes, bytes, calls
}

func newUploader(ctx context.Context, r remote, parallel int) *uploader {
	u := &uploader{remote: r}
	u.calls, u.ctx = errgroup.WithContext(ctx)
	u.calls.SetLimit(parallel)
	return u
}

// add uploads a variant of a file, but for the end of it, which may wait for others.
func (u *uploader) add(files fs.FS, name string, v *variant) error {
	u.planned.Add(v.size)
	v.chunks = make([]uint64, max(1, (v.size+chunkBytes-1)/chunkBytes))
	if v.data != nil || v.size == 0 {
		for i := range v.chunks {
			from := i * chunkBytes
			u.put(piece{v, i, v.data[from:min(from+chunkBytes, len(v.data))]})
		}
		v.data = nil
		return u.ctx.Err()
	}
	file, err := files.Open(name)
	if err != nil {
		return err
	}
	for i := range v.chunks {
		data := make([]byte, min(chunkBytes, v.size-int64(i)*chunkBytes))
		if _, err := io.ReadFull(file, data); err != nil {
			return errors.Join(fmt.Errorf("%s changed while it was read: %w", name, err), file.Close())
		}
		u.put(piece{v, i, data})
	}
	return errors.Join(file.Close(), u.ctx.Err())
}

// put sends a piece, or keeps it until there are enough for a call.
func (u *uploader) put(p piece) {
	if len(p.data) == chunkBytes {
		u.send([]piece{p})
		return
	}
	if full := u.pack(p); full != nil {
		u.send(full)
	}
}

// pack puts a piece into the first bin with room. If there is none, the fullest bin
// makes place and is returned.
func (u *uploader) pack(p piece) (full []piece) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, bin := range u.bins {
		if bytesOf(bin)+len(p.data) <= chunkBytes && len(bin) < maxPieces {
			u.bins[i] = append(bin, p)
			return nil
		}
	}
	if len(u.bins) < openBins {
		u.bins = append(u.bins, []piece{p})
		return nil
	}
	fullest := 0
	for i, bin := range u.bins {
		if bytesOf(bin) > bytesOf(u.bins[fullest]) {
			fullest = i
		}
	}
	full, u.bins[fullest] = u.bins[fullest], []piece{p}
	return full
}

func bytesOf(pieces []piece) (n int) {
	for _, p := range pieces {
		n += len(p.data)
	}
	return n
}

// send makes a call, when fewer are under way than may be.
func (u *uploader) send(pieces []piece) {
	u.calls.Go(func() error {
		batch, err := u.openBatch(u.ctx)
		if err != nil {
			return err
		}
		arg := chunksArg{BatchID: batch}
		for _, p := range pieces {
			arg.Content = append(arg.Content, p.data)
		}
		var ids chunkIDs
		u.count.Add(1)
		if err := u.call(u.ctx, "create_chunks", arg, &ids); err != nil {
			return err
		}
		if len(ids.IDs) != len(pieces) {
			return fmt.Errorf("create_chunks answered with %d ids for %d chunks", len(ids.IDs), len(pieces))
		}
		for i, p := range pieces {
			p.of.chunks[p.index] = ids.IDs[i]
			u.sent.Add(int64(len(p.data)))
		}
		return nil
	})
}

// openBatch makes the batch that chunks belong to, once there are any.
func (u *uploader) openBatch(ctx context.Context) (uint64, error) {
	u.open.Do(func() {
		var b batchID
		u.count.Add(1)
		u.err = u.call(ctx, "create_batch", empty{}, &b)
		u.batch = b.ID
	})
	return u.batch, u.err
}

// finish sends what is left. If it is little enough, and inline allows, the commit
// brings it, which saves calls.
func (u *uploader) finish(inline bool) error {
	left := 0
	for _, bin := range u.bins {
		left += bytesOf(bin)
	}
	for _, bin := range u.bins {
		if !inline || left > inlineBytes {
			u.send(bin)
			continue
		}
		for _, p := range bin {
			// what is not a full chunk is the last one of its variant
			p.of.inline, p.of.chunks = p.data, p.of.chunks[:p.index]
			if p.data == nil {
				p.of.inline = []byte{}
			}
			u.sent.Add(int64(len(p.data)))
		}
	}
	u.bins = nil
	return u.calls.Wait()
}

// abandon gives back what the canister keeps for an upload that failed. It is a
// courtesy: batches expire.
func (u *uploader) abandon(ctx context.Context) {
	_ = u.calls.Wait()
	if u.batch == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_ = u.call(ctx, "delete_batch", batchID{u.batch})
}
