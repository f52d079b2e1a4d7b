package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// batchLifetime is how long a batch lives after its last change, in nanoseconds.
const batchLifetime = 300_000_000_000

// uploads are chunks on their way to become contents.
type uploads struct {
	batches   map[uint64]*batch
	chunks    map[uint64]chunk
	nextBatch uint64
	nextChunk uint64
}

type chunk struct {
	batch  uint64
	extent extent
}

// batch groups chunks, and operations that were proposed and not committed yet.
type batch struct {
	expires  uint64 // nanoseconds since 1970
	bytes    uint64 // uploaded so far
	proposed *commitArg
	evidence *evidence
}

var errNoBatch = errors.New("batch not found")

func (u *uploads) reset() {
	*u = uploads{batches: map[uint64]*batch{}, chunks: map[uint64]chunk{}, nextBatch: max(u.nextBatch, 1), nextChunk: max(u.nextChunk, 1)}
}

func (u *uploads) forget(id uint64) { delete(u.chunks, id) }

func (s *store) createBatch(now uint64) (uint64, error) {
	u := &s.uploads
	for _, id := range slices.Sorted(maps.Keys(u.batches)) {
		if b := u.batches[id]; b.expires <= now && !b.evidence.complete() {
			s.dropBatch(id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(u.batches)) {
		switch b := u.batches[id]; {
		case b.proposed == nil:
		case b.evidence.complete():
			return 0, fmt.Errorf("batch %d is already proposed: delete or execute it to propose another", id)
		default:
			return 0, fmt.Errorf("batch %d has not completed evidence computation: wait for it to expire or delete it to propose another", id)
		}
	}
	if m := s.limits.MaxBatches; m != nil && uint64(len(u.batches)) >= *m {
		return 0, errors.New("batch limit exceeded")
	}
	id := u.nextBatch
	u.nextBatch++
	u.batches[id] = &batch{expires: now + batchLifetime}
	return id, nil
}

func (s *store) dropBatch(id uint64) {
	delete(s.uploads.batches, id)
	for c, chunk := range s.uploads.chunks {
		if chunk.batch == id {
			s.space.release(chunk.extent)
			delete(s.uploads.chunks, c)
		}
	}
}

func (s *store) createChunks(batchID uint64, contents [][]byte, now uint64) ([]uint64, error) {
	u := &s.uploads
	var bytes uint64
	for _, c := range contents {
		bytes += uint64(len(c))
	}
	if err := s.checkLimits(uint64(len(contents)), bytes); err != nil {
		return nil, err
	}
	b := u.batches[batchID]
	if b == nil {
		return nil, errNoBatch
	}
	if b.proposed != nil {
		return nil, fmt.Errorf("batch %d has been proposed", batchID)
	}
	b.expires = now + batchLifetime
	ids := make([]uint64, 0, len(contents))
	for _, c := range contents {
		e, err := s.space.store(c)
		if err != nil {
			return nil, err
		}
		u.chunks[u.nextChunk] = chunk{batchID, e}
		ids = append(ids, u.nextChunk)
		u.nextChunk++
	}
	b.bytes += bytes
	return ids, nil
}

// checkLimits refuses uploads beyond what the canister was configured to take.
func (s *store) checkLimits(chunks, bytes uint64) error {
	if m := s.limits.MaxChunks; m != nil && uint64(len(s.uploads.chunks))+chunks > *m {
		return errors.New("chunk limit exceeded")
	}
	if m := s.limits.MaxBytes; m != nil {
		for _, b := range s.uploads.batches {
			bytes += b.bytes
		}
		if bytes > *m {
			return errors.New("byte limit exceeded")
		}
	}
	return nil
}

// commit performs all operations, or fails; the caller traps then, which undoes them.
// Batch 0 need not exist: clients commit parts of a batch under that number. The
// digests are those of the contents that the operations set.
func (s *store) commit(arg *commitArg, digests map[*setContent]*digest, now uint64) error {
	var chunks, bytes uint64
	for _, op := range arg.Operations {
		if op.SetContent != nil && op.SetContent.LastChunk != nil {
			chunks++
			bytes += uint64(len(*op.SetContent.LastChunk))
		}
	}
	if err := s.checkLimits(chunks, bytes); err != nil {
		return err
	}
	for i := range arg.Operations {
		op := &arg.Operations[i]
		if op.SetContent != nil {
			if err := s.ownChunks(arg.BatchID, op.SetContent); err != nil {
				return err
			}
		}
		if err := s.perform(op, digests[op.SetContent], now); err != nil {
			return err
		}
	}
	s.dropBatch(arg.BatchID)
	return nil
}

func (s *store) perform(op *operation, d *digest, now uint64) error {
	switch {
	case op.Create != nil:
		return s.create(op.Create)
	case op.SetContent != nil:
		return s.setContent(op.SetContent, d, int64(now))
	case op.SetProperties != nil:
		return s.setProperties(op.SetProperties)
	case op.UnsetContent != nil:
		return s.unsetContent(op.UnsetContent)
	case op.Delete != nil:
		s.remove(op.Delete.Key)
		return nil
	case op.Clear != nil:
		s.clear()
		return nil
	}
	return errors.New("an operation of no known kind")
}

func (s *store) propose(arg *commitArg) error {
	b := s.uploads.batches[arg.BatchID]
	switch {
	case b == nil:
		return errNoBatch
	case b.proposed != nil:
		return fmt.Errorf("batch %d already has proposed CommitBatchArguments", arg.BatchID)
	}
	b.proposed = arg
	return nil
}

func (s *store) checkProposed(arg *commitProposedArg) (*batch, error) {
	b := s.uploads.batches[arg.BatchID]
	switch {
	case b == nil:
		return nil, errNoBatch
	case b.proposed == nil:
		return nil, errors.New("batch does not have CommitBatchArguments")
	case !b.evidence.complete():
		return nil, errors.New("batch does not have computed evidence")
	case string(b.evidence.sum) != string(arg.Evidence):
		return nil, fmt.Errorf("batch computed evidence %s does not match presented evidence %s", hex.EncodeToString(b.evidence.sum), hex.EncodeToString(arg.Evidence))
	}
	return b, nil
}

func (s *store) deleteBatch(id uint64) error {
	if s.uploads.batches[id] == nil {
		return errNoBatch
	}
	s.dropBatch(id)
	return nil
}

// reset is the method clear: no assets, no uploads.
func (s *store) reset() {
	s.clear()
	for _, id := range slices.Sorted(maps.Keys(s.uploads.batches)) {
		s.dropBatch(id)
	}
	s.uploads.reset()
}

func (s *store) configure(arg *configureArg) {
	for _, f := range []struct {
		to   **uint64
		from **uint64
	}{{&s.limits.MaxBatches, arg.MaxBatches}, {&s.limits.MaxChunks, arg.MaxChunks}, {&s.limits.MaxBytes, arg.MaxBytes}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
}
