package state

import (
	"iter"
	"slices"

	"portico/node/types"
)

// What Settings.LogMemoryLimit may be: none, or from MinLogBytes, which is the default, to
// MaxLogBytes.
const (
	MinLogBytes = 4 * types.KiB
	MaxLogBytes = 2 * types.MiB
)

// logRecordBytes is what a line takes besides its content.
const logRecordBytes = 16

// LogRecord is a line of the canister's log.
type LogRecord struct {
	Index   uint64
	Time    types.Time
	Content []byte
}

func (r *LogRecord) bytes() uint64 { return logRecordBytes + uint64(len(r.Content)) }

// Log is a canister's newest lines. It is a value: what it shares with others is never written,
// and appending to it costs what is appended and not what is there.
type Log struct {
	// Segments have the lines in order: all but the last are full. Of the first the lines before
	// First are gone.
	Segments [][]LogRecord
	First    int
	// Bytes is what the lines take together.
	Bytes uint64
}

// segmentRecords is how many lines a full segment has.
const segmentRecords = 64

// All are the lines, the oldest first.
func (l *Log) All() iter.Seq[*LogRecord] {
	return func(yield func(*LogRecord) bool) {
		for i, s := range l.Segments {
			if i == 0 {
				s = s[l.First:]
			}
			for k := range s {
				if !yield(&s[k]) {
					return
				}
			}
		}
	}
}

// AppendLog adds lines to the log and drops the oldest beyond the canister's limit. A line that is
// too long by itself is cut.
func (c *Canister) AppendLog(now types.Time, lines [][]byte) {
	limit := c.Settings.LogMemoryLimit
	if limit < MinLogBytes {
		c.NextLog += uint64(len(lines))
		return
	}
	if len(lines) == 0 {
		return
	}
	l := &c.Log
	l.Segments = slices.Clone(l.Segments)
	if n := len(l.Segments); n > 0 {
		l.Segments[n-1] = slices.Clone(l.Segments[n-1])
	}
	for _, line := range lines {
		n := len(l.Segments)
		if n == 0 || len(l.Segments[n-1]) == segmentRecords {
			l.Segments = append(l.Segments, nil)
			n++
		}
		r := LogRecord{c.NextLog, now, line[:min(uint64(len(line)), limit-logRecordBytes)]}
		l.Segments[n-1] = append(l.Segments[n-1], r)
		l.Bytes += r.bytes()
		c.NextLog++
	}
	l.trim(limit)
}

// trim drops the oldest lines until the others take no more than a limit.
func (l *Log) trim(limit uint64) {
	for l.Bytes > limit {
		l.Bytes -= l.Segments[0][l.First].bytes()
		if l.First++; l.First == len(l.Segments[0]) {
			l.Segments, l.First = l.Segments[1:], 0
		}
	}
}

// LimitLog sets how much the canister's log may take, and drops the oldest lines beyond that.
func (c *Canister) LimitLog(limit uint64) {
	c.Settings.LogMemoryLimit = limit
	c.Log.trim(limit)
}
