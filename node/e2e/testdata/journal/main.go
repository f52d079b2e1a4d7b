// Command journal is a canister in Go: lines in stable memory, a counter in the heap
// that an upgrade forgets, and a timer.
package main

import (
	"encoding/binary"
	"time"

	"portico/node/cdk"
)

var (
	title string
	calls uint64 // since the last installation
	late  uint64 // lines that a timer wrote
)

//go:wasmexport canister_init
func start() { cdk.Init(func(m *cdk.Message) error { return m.Args(&title) }) }

//go:wasmexport canister_post_upgrade
func again() { cdk.PostUpgrade(func(m *cdk.Message) error { return m.Args(&title) }) }

// length is where the lines in stable memory end; the first eight bytes say it.
func length() int64 {
	b := make([]byte, 8)
	if (cdk.Stable{}).Size() == 0 {
		return 8
	}
	if _, err := (cdk.Stable{}).ReadAt(b, 0); err != nil {
		cdk.Trap(err.Error())
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func write(line string) error {
	at := length()
	if _, err := (cdk.Stable{}).WriteAt([]byte(line+"\n"), at); err != nil {
		return err
	}
	_, err := cdk.Stable{}.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(at)+uint64(len(line))+1), 0)
	return err
}

//go:wasmexport canister_update_write
func update() {
	cdk.Update(func(m *cdk.Message) error {
		var line string
		if err := m.Args(&line); err != nil {
			return err
		}
		calls++
		if err := write(line); err != nil {
			return err
		}
		return m.Reply(calls)
	})
}

//go:wasmexport canister_update_later
func later() {
	cdk.Update(func(m *cdk.Message) error {
		cdk.After(time.Millisecond, func(*cdk.Message) error {
			late++
			return nil
		})
		return m.Reply()
	})
}

//go:wasmexport canister_query_read
func read() {
	cdk.Query(func(m *cdk.Message) error {
		b := make([]byte, length()-8)
		if len(b) > 0 {
			if _, err := (cdk.Stable{}).ReadAt(b, 8); err != nil {
				return err
			}
		}
		return m.Reply(title, string(b), calls, late)
	})
}

func main() {}
