// Command hello is the canister that the tests of package cdk run.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"portico/lightclient/principal"
	"portico/node/cdk"
)

var (
	counter int
	events  []string
	lock    sync.Mutex
)

//go:wasmexport canister_init
func start() {
	cdk.Init(func(m *cdk.Message) error {
		if string(m.Arg()) == "refuse" {
			return errors.New("refused to start")
		}
		return nil
	})
}

//go:wasmexport canister_pre_upgrade
func save() {
	cdk.PreUpgrade(func(*cdk.Message) error {
		_, err := cdk.Stable{}.WriteAt([]byte{byte(counter)}, 100_000)
		return err
	})
}

//go:wasmexport canister_post_upgrade
func load() {
	cdk.PostUpgrade(func(*cdk.Message) error {
		b := make([]byte, 1)
		_, err := cdk.Stable{}.ReadAt(b, 100_000)
		counter = int(b[0])
		return err
	})
}

//go:wasmexport canister_query_hello_to_you
func greet() {
	cdk.Query(func(m *cdk.Message) error {
		counter++ // undone: this is a query
		m.ReplyRaw([]byte("Hello " + string(m.Arg()) + " " + m.Caller().String() + " " + time.Now().UTC().Format(time.RFC3339)))
		return nil
	})
}

//go:wasmexport canister_update_count
func count() {
	cdk.Update(func(m *cdk.Message) error {
		counter++
		m.ReplyRaw([]byte(fmt.Sprint(counter)))
		return nil
	})
}

//go:wasmexport canister_composite_query_both
func both() { cdk.Update(func(*cdk.Message) error { return nil }) }

// call calls a method of canister 9 and counts before and after.
//
//go:wasmexport canister_update_call
func call() {
	cdk.Update(func(m *cdk.Message) error {
		counter++
		lock.Lock()
		defer lock.Unlock()
		r, err := m.Call(cdk.Call{Canister: principal.Canister(9), Method: "echo", Arg: m.Arg(), Patience: 1500 * time.Millisecond})
		if err != nil {
			return fmt.Errorf("called: %w", err)
		}
		counter += 10
		if string(r.Arg) == "trap" {
			cdk.Trap("told to trap")
		}
		m.ReplyRaw(append(r.Arg, fmt.Sprint(" ", counter)...))
		return nil
	})
}

// parallel calls once per word of its argument, all at the same time.
//
//go:wasmexport canister_update_parallel
func parallel() {
	cdk.Update(func(m *cdk.Message) error {
		words := strings.Fields(string(m.Arg()))
		answers := make([]string, len(words))
		var wg sync.WaitGroup
		for i, w := range words {
			wg.Go(func() {
				r, err := m.Call(cdk.Call{Canister: principal.Canister(9), Method: "echo", Arg: []byte(w)})
				answers[i] = fmt.Sprint(string(r.Arg), err)
			})
		}
		wg.Wait()
		m.ReplyRaw([]byte(strings.Join(answers, ",")))
		return nil
	})
}

//go:wasmexport canister_update_fail
func fail() {
	cdk.Update(func(m *cdk.Message) error {
		counter += 100
		fmt.Fprint(os.Stderr, "about to ")
		fmt.Fprintln(os.Stderr, "fail by", string(m.Arg()))
		switch string(m.Arg()) {
		case "error":
			return errors.New("an error")
		case "panic":
			panic(fmt.Sprintf("at counter %d", counter))
		case "nil":
			var p *int
			*p = 1
		case "block":
			<-make(chan int)
		case "exit":
			os.Exit(1)
		}
		return nil
	})
}

// timer sets a timer that fires once and one that repeats three times, the second
// time trapping.
//
//go:wasmexport canister_update_timer
func timer() {
	cdk.Update(func(*cdk.Message) error {
		var repeating cdk.TimerID
		n := 0
		repeating = cdk.Every(time.Minute, func(*cdk.Message) error {
			n++
			events = append(events, fmt.Sprint("every ", n))
			if n == 3 {
				repeating.Stop()
			}
			return nil
		})
		cdk.After(90*time.Second, func(*cdk.Message) error {
			events = append(events, "never seen")
			panic("in a timer")
		})
		return nil
	})
}

//go:wasmexport canister_query_events
func list() {
	cdk.Query(func(m *cdk.Message) error {
		m.ReplyRaw([]byte(strings.Join(events, ",")))
		return nil
	})
}

// churn allocates in goroutines so that the collector runs.
//
//go:wasmexport canister_update_churn
func churn() {
	cdk.Update(func(m *cdk.Message) error {
		sums := make(chan int)
		for i := range 10 {
			go func() {
				total := 0
				for j := range 100 {
					b := make([]byte, 10_000)
					b[j] = byte(i)
					total += int(b[j])
				}
				sums <- total
			}()
		}
		total := 0
		for range 10 {
			total += <-sums
		}
		m.ReplyRaw([]byte(fmt.Sprint(total)))
		return nil
	})
}

// hash hashes its argument twice, in pieces of the lengths 0, 1, 2 and so on.
//
//go:wasmexport canister_query_hash
func hash() {
	cdk.Query(func(m *cdk.Message) error {
		h := cdk.NewSHA256()
		for p, n := m.Arg(), 0; len(p) > 0; n++ {
			k := min(n, len(p))
			if _, err := h.Write(p[:k]); err != nil {
				return err
			}
			p = p[k:]
		}
		m.ReplyRaw(h.Sum(h.Sum(nil)))
		return nil
	})
}

func main() {}
