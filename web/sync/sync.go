// Package sync makes an asset canister hold what is in a directory: it uploads what is
// new or different, in parallel, deletes what is gone, and sets headers and other
// properties by the rules in .ic-assets.json5 files.
//
// What differs is told by the SHA-256 of each encoding, which the canister lists in
// queries; what is changed is changed by calls, and the canister checks every hash
// again when it commits. An upload that ends half-way has changed nothing. A commit
// that is too large for one call is divided so that pages change after what they load.
package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Config is what a synchronisation needs.
type Config struct {
	Canister Canister
	Files    fs.FS // the directory, such as os.DirFS makes
	// Parallel is how many calls are under way at the same time; at least one.
	Parallel int
	// DryRun only tells what would change.
	DryRun bool
	// Propose proposes the changes instead of committing them, for canisters whose
	// changes are approved by others; see Result.Evidence.
	Propose bool
	// KeepOthers leaves assets that are not in the directory.
	KeepOthers bool
	// Memory saves compressing what is known; it may be nil. It learns.
	Memory *Memory
	// Warn is told of things to think about. Report is told how far it has come, by
	// several goroutines, and must be quick. Both may be nil.
	Warn   func(string)
	Report func(Progress)
}

// Progress is how far a synchronisation has come.
type Progress struct {
	Files, Compared int   // files in the directory, and how many of them are compared
	Bytes, Uploaded int64 // content to be uploaded as far as it is known, and what of it has been
}

// Result is what a synchronisation did, or would do.
type Result struct {
	Changes   []Change
	Unchanged int
	Bytes     int64 // of content that was uploaded
	Calls     int   // update calls
	// Batch and Evidence of the proposal: who approves it compares the evidence, the
	// SHA-256 over all of its operations and contents.
	Batch    uint64
	Evidence []byte
}

// Run does one synchronisation. Errors name the file or the call; after one, nothing
// or only a beginning of the changes is committed, and running again goes on.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	s := &synchronisation{Config: cfg, remote: remote{cfg.Canister}}
	files, warnings, err := scan(cfg.Files)
	if err != nil {
		return nil, err
	}
	if cfg.Warn != nil {
		for _, w := range warnings {
			cfg.Warn(w)
		}
	}
	s.files = files
	if s.there, err = s.assets(ctx); err != nil {
		return nil, err
	}
	u := newUploader(ctx, s.remote, max(1, cfg.Parallel))
	changes, err := s.upload(u)
	if err == nil && !cfg.DryRun {
		err = s.apply(ctx, u, changes)
	}
	if err != nil {
		u.abandon(ctx)
		return nil, err
	}
	s.result.Bytes, s.result.Calls = u.sent.Load(), int(u.count.Load())
	return &s.result, nil
}

type synchronisation struct {
	Config
	remote
	files    []*localFile
	there    map[string]*assetDetails
	compared atomic.Int64
	result   Result
}

// upload compares every file and uploads what the canister does not have.
func (s *synchronisation) upload(u *uploader) ([]*change, error) {
	found := make([]*change, len(s.files))
	workers, ctx := errgroup.WithContext(u.ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range s.files {
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			variants, content, err := encodings(s.Files, f, s.Memory)
			if err != nil {
				return err
			}
			found[i] = compare(f, variants, s.there[f.key])
			defer s.report(u, 1)
			if found[i] == nil || s.DryRun {
				return nil
			}
			for _, v := range variants {
				if v.there {
					continue
				}
				if v.data == nil && v.encoding != identityName {
					if err := v.make(content); err != nil {
						return err
					}
				}
				if err := u.add(s.Files, f.path, v); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := workers.Wait()
	if err == nil {
		err = u.finish(!s.Propose)
	} else if failed := u.calls.Wait(); failed != nil {
		err = failed // what a failed call ends is not what went wrong
	}
	if err != nil {
		return nil, err
	}
	s.report(u, 0)
	return s.changes(found), nil
}

func (s *synchronisation) report(u *uploader, more int64) {
	n := s.compared.Add(more)
	if s.Report != nil {
		s.Report(Progress{Files: len(s.files), Compared: int(n), Bytes: u.planned.Load(), Uploaded: u.sent.Load()})
	}
}

// changes are those of files, and the deletion of what is in no file.
func (s *synchronisation) changes(found []*change) []*change {
	var out []*change
	here := map[string]bool{}
	for i, c := range found {
		here[s.files[i].key] = true
		if c == nil {
			s.result.Unchanged++
			continue
		}
		out = append(out, c)
	}
	for key, details := range s.there {
		if !here[key] && !s.KeepOthers {
			out = append(out, &change{Change: Change{Kind: Deleted, Key: key}, there: details})
		}
	}
	slices.SortFunc(out, order)
	for _, c := range out {
		s.result.Changes = append(s.result.Changes, c.Change)
	}
	return out
}

// apply commits or proposes the changes.
func (s *synchronisation) apply(ctx context.Context, u *uploader, changes []*change) error {
	parts := stages(changes)
	if s.Propose {
		return s.propose(ctx, u, parts)
	}
	for i, ops := range parts {
		arg := commitArg{Operations: ops}
		if i == len(parts)-1 {
			arg.BatchID = u.batch // ends it
		}
		u.count.Add(1)
		if err := u.call(ctx, "commit_batch", arg); err != nil {
			if i > 0 {
				err = fmt.Errorf("after %d of %d commits: %w", i, len(parts), err)
			}
			return err
		}
	}
	return nil
}

// evidenceSteps is how much of the evidence one call computes.
const evidenceSteps = 97

func (s *synchronisation) propose(ctx context.Context, u *uploader, parts [][]operation) error {
	switch len(parts) {
	case 0:
		return nil
	case 1:
	default:
		return errors.New("the changes are too many for one proposal: synchronise a part of them first")
	}
	batch, err := u.openBatch(ctx)
	if err != nil {
		return err
	}
	u.count.Add(1)
	if err := u.call(ctx, "propose_commit_batch", commitArg{batch, parts[0]}); err != nil {
		return err
	}
	left := 1 // steps that evidence can take: an operation or a chunk each
	for _, op := range parts[0] {
		if left += 2; op.SetContent != nil {
			left += len(op.SetContent.ChunkIDs)
		}
	}
	steps := uint16(evidenceSteps)
	for ; left > 0; left -= evidenceSteps {
		var evidence *[]byte
		u.count.Add(1)
		if err := u.call(ctx, "compute_evidence", evidenceArg{batch, &steps}, &evidence); err != nil {
			return err
		}
		if evidence != nil {
			s.result.Batch, s.result.Evidence = batch, *evidence
			return nil
		}
	}
	return errors.New("compute_evidence never completes")
}
