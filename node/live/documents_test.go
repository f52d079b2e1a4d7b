package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"portico/lightclient/principal"
	"portico/node/state"
	"portico/node/types"
)

func document[T any](t *testing.T, n *running, path string) (d T) {
	t.Helper()
	r := get(t, n.Pages(""), path, 0)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: status %d, %v", path, r.StatusCode, r.Header)
	}
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocumentsTellOfTheNodeAndItsCanisters(t *testing.T) {
	s := startSubnet(t, 1, testInterval)
	n := s.nodes[0]
	var made []principal.ID
	for range 3 {
		made = append(made, installCounter(t, n))
	}
	increment(t, n, made[0])
	f := document[Figures](t, n, "/status.json")
	if !f.Healthy || f.Node != n.NodeID().String() || f.Certified == 0 || f.Canisters != 3 || f.Messages == 0 || f.Members != 1 || len(f.Root) != 64 {
		t.Errorf("%+v", f)
	}
	all := document[CanisterList](t, n, "/canisters.json")
	if all.Total != 3 || len(all.Canisters) != 3 || all.More {
		t.Fatalf("%+v", all)
	}
	c := all.Canisters[0]
	if c.ID != made[0].String() || c.Status != "running" || len(c.ModuleHash) != 64 || c.Controllers != 1 || len(c.Cycles) < 12 || c.MemoryBytes == 0 || c.Web {
		t.Errorf("%+v", c)
	}
	first := document[CanisterList](t, n, "/canisters.json?limit=2")
	if len(first.Canisters) != 2 || !first.More {
		t.Fatalf("%+v", first)
	}
	rest := document[CanisterList](t, n, "/canisters.json?limit=2&after="+first.Canisters[1].ID)
	if len(rest.Canisters) != 1 || rest.More || rest.Canisters[0].ID != made[2].String() {
		t.Errorf("%+v", rest)
	}
	for _, query := range []string{"limit=0", fmt.Sprintf("limit=%d", maxListed+1), "limit=x", "after=x"} {
		if r := get(t, n.Pages(""), "/canisters.json?"+query, 0); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, r.StatusCode)
		}
	}
}

func TestOnlyACanisterWithACommonControllerMayNameAnother(t *testing.T) {
	s := state.New(0, 0)
	add := func(n uint64, controller byte, vars ...state.EnvVar) types.CanisterID {
		c := state.NewCanister(principal.Canister(n), 0)
		c.Settings.Controllers = []principal.ID{principal.SelfAuthenticating([]byte{controller})}
		c.Settings.EnvVars = vars
		s.Add(c)
		return c.ID
	}
	ids := []types.CanisterID{principal.Canister(0), principal.Canister(1), principal.Canister(2)}
	name := func(n string, id types.CanisterID) state.EnvVar {
		return state.EnvVar{Name: nameVariable + n, Value: id.String()}
	}
	add(0, 1, name("frontend", ids[0]), name("backend", ids[1]), name("stolen", ids[2]), state.EnvVar{Name: nameVariable + "x", Value: "no principal"})
	add(1, 1)
	add(2, 2, name(string(make([]byte, maxNameBytes+1)), ids[2]))
	if got := namesOf(s, ids); len(got) != 2 || got[ids[0]] != "frontend" || got[ids[1]] != "backend" {
		t.Errorf("%v", got)
	}
}
