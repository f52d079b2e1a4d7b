package execution_test

import (
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

func TestALongMessageIsPausedAndOthersGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	long := n.Install(user(), canistertest.Counter(), nil)
	other := n.Install(user(), canistertest.Counter(), nil)
	if _, rej := n.Call(user(), long, "inc", nil); rej != nil {
		t.Fatal(rej)
	}
	spin := n.Send(user(), long, "spin", nil)
	later := n.Send(user(), long, "inc", nil)
	for want := byte(1); want <= 2; want++ {
		reply, rej := n.Call(user(), other, "inc", nil)
		if rej != nil || reply[0] != want {
			t.Fatalf("the other canister answered %v, %v, want %d", reply, rej, want)
		}
	}
	for name, id := range map[string]types.RequestID{"the long message": spin, "the one behind it": later} {
		if reply, rej, ok := n.Result(id); ok {
			t.Fatalf("%s was answered %v, %v", name, reply, rej)
		}
	}
	if reply, rej := n.Query(user(), long, "get", nil); rej != nil || reply[0] != 1 {
		t.Fatalf("a query during the pause gave %v, %v, want 1", reply, rej)
	}
	// new code ends what the old code was in the middle of
	if rej := n.InstallCode(user(), long, canistertest.Mode{Reinstall: true}, canistertest.Counter(), nil); rej != nil {
		t.Fatal(rej)
	}
	if rej := n.Manage(user(), "uninstall_code", struct {
		Canister principal.ID `candid:"canister_id"`
	}{long}); rej != nil {
		t.Fatal(rej)
	}
	for range 3 {
		n.Tick(time.Second)
	}
	if _, rej, ok := n.Result(spin); !ok || rej == nil || rej.Code != types.ErrCanisterWasmModuleNotFound {
		t.Fatalf("the long message ended with %v, %v after its canister was uninstalled", rej, ok)
	}
}
