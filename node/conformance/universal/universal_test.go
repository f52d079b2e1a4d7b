package universal_test

import (
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
)

func TestProgramsRunInEveryKindOfMethod(t *testing.T) {
	module, err := u.Module(u.Method("canister_update other name"))
	if err != nil {
		t.Fatal(err)
	}
	n := canistertest.New(t)
	user := principal.SelfAuthenticating([]byte("user"))
	id := n.Install(user, module, u.SetGlobal(u.Text("kept")))
	program := u.Reply(u.Concat(u.Global(), u.Caller(), u.ToBytes(u.Add(u.Int(1), u.Int(2)))))
	want := "kept" + string(user.Bytes()) + "\x03\x00\x00\x00\x00\x00\x00\x00"
	for _, method := range []string{u.Update, u.Query, "other name"} {
		if got, rej := n.Call(user, id, method, program); rej != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", method, got, rej, want)
		}
	}
	if got, rej := n.Query(user, id, u.Composite, program); rej != nil || string(got) != want {
		t.Errorf("composite: %q, %v, want %q", got, rej, want)
	}
	call := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text("inner")))}
	if got, rej := n.Call(user, id, u.Update, call.Do()); rej != nil || string(got) != "inner" {
		t.Errorf("a call: %q, %v, want inner", got, rej)
	}
}
