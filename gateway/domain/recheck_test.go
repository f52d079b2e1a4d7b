package domain

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestADomainThatIsNotSetUpAnyMoreIsDroppedAfterThreeLooks also shows what is no reason.
func TestADomainThatIsNotSetUpAnyMoreIsDroppedAfterThreeLooks(t *testing.T) {
	const record = "_canister-id.shop.example"
	for what, c := range map[string]struct {
		change func(*world)
		drops  bool
	}{
		"all is well":                   {func(*world) {}, false},
		"no record":                     {func(w *world) { delete(w.txt, record) }, true},
		"another canister":              {func(w *world) { w.txt[record], w.domains[other] = []string{other}, "shop.example" }, true},
		"another that does not list it": {func(w *world) { w.txt[record], w.domains[other] = []string{other}, "" }, true},
		"the canister does not list it": {func(w *world) { w.domains[shop] = "www.example" }, true},
		"the canister has no list":      {func(w *world) { w.status = 404 }, true},
		"the canister does not answer":  {func(w *world) { w.domains = nil }, false},
		"another that does not answer":  {func(w *world) { w.txt[record] = []string{other} }, false},
		"DNS does not answer":           {func(w *world) { w.fails = true }, false},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld()
			r := newRegistry(t, w, nil)
			if status, _ := ask(t, r, "POST shop.example"); status != 202 {
				t.Fatalf("status %d", status)
			}
			c.change(w)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); r.Recheck(ctx) }()
				time.Sleep(maxMisses*recheckEvery - time.Second) // of the bubble's clock
				if _, ok := r.Lookup("shop.example"); !ok {
					t.Error("it is gone after two looks")
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if _, ok := r.Lookup("shop.example"); ok == c.drops {
					t.Errorf("after three looks it is there: %v", ok)
				}
				cancel()
				<-done
			})
		})
	}
}

func TestOnlyLooksInARowCountAgainstADomain(t *testing.T) {
	w := newWorld()
	r := newRegistry(t, w, nil)
	ask(t, r, "POST shop.example")
	misses := map[string]int{}
	for i, records := range [][]string{nil, nil, {shop}, nil, nil, {shop}} {
		if w.txt["_canister-id.shop.example"] = records; records == nil {
			delete(w.txt, "_canister-id.shop.example")
		}
		misses = r.look(t.Context(), misses)
		if _, ok := r.Lookup("shop.example"); !ok {
			t.Fatalf("dropped after look %d", i+1)
		}
	}
	if len(misses) != 0 {
		t.Errorf("left: %v", misses)
	}
	delete(w.txt, "_canister-id.shop.example")
	misses = r.look(t.Context(), misses)
	w.fails = true // in between, nobody can tell
	misses = r.look(t.Context(), misses)
	w.fails = false
	misses = r.look(t.Context(), misses)
	if misses["shop.example"] != 2 {
		t.Errorf("misses %v, want 2", misses)
	}
	r.look(t.Context(), misses)
	if _, ok := r.Lookup("shop.example"); ok {
		t.Error("it is there after three looks that failed")
	}
}
