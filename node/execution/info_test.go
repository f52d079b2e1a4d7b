package execution_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/types"
)

type logRecord struct {
	Index   uint64 `candid:"idx"`
	Time    uint64 `candid:"timestamp_nanos"`
	Content []byte `candid:"content"`
}

func logs(t *testing.T, n *canistertest.Network, by, id principal.ID) ([]logRecord, *types.Reject) {
	t.Helper()
	reply, rej := n.Query(by, principal.ID{}, "fetch_canister_logs", canistertest.Encode(t, onCanister{id}))
	if rej != nil {
		return nil, rej
	}
	var out struct {
		Records []logRecord `candid:"canister_log_records"`
	}
	canistertest.Decode(t, reply, &out)
	return out.Records, nil
}

func texts(records []logRecord) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "%d %s;", r.Index, r.Content)
	}
	return b.String()
}

func TestLogsKeepPrintsAndTrapsInOrder(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	for _, call := range []struct{ method, arg string }{{"print", "one"}, {"fail", "two"}, {"crash", ""}, {"print", "three"}} {
		_, _ = n.Call(user(), id, call.method, []byte(call.arg)) // two of them trap
	}
	if _, rej := n.Query(user(), id, "readprint", []byte("not from queries")); rej != nil {
		t.Fatal(rej)
	}
	records, rej := logs(t, n, user(), id)
	if rej != nil {
		t.Fatal(rej)
	}
	want := "0 one;1 [TRAP]: two;2 [TRAP]: unreachable;3 three;"
	if got := texts(records); got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if records[0].Time == 0 || records[0].Time >= records[3].Time {
		t.Errorf("the times are %d and %d", records[0].Time, records[3].Time)
	}
	// a replicated query is a message like others
	if _, rej := n.Call(user(), id, "readprint", []byte("four")); rej != nil {
		t.Fatal(rej)
	}
	if rej := n.InstallCode(user(), id, canistertest.Upgrade(canistertest.Options{}), notebookModule(), nil); rej != nil {
		t.Fatal(rej)
	}
	if records, _ = logs(t, n, user(), id); texts(records) != want+"4 four;" {
		t.Errorf("after an upgrade the log is %q", texts(records))
	}
	if rej := n.InstallCode(user(), id, canistertest.Mode{Reinstall: true}, notebookModule(), nil); rej != nil {
		t.Fatal(rej)
	}
	if records, _ = logs(t, n, user(), id); len(records) != 0 {
		t.Errorf("after a reinstallation the log is %q", texts(records))
	}
}

func TestLogsHoldFourKiB(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	const record = 1024 // with what a record takes besides its content
	for i := range 5 {
		if _, rej := n.Call(user(), id, "print", bytes.Repeat([]byte{byte('a' + i)}, record-16)); rej != nil {
			t.Fatal(rej)
		}
	}
	records, _ := logs(t, n, user(), id)
	if len(records) != 4 || records[0].Index != 1 || records[3].Content[0] != 'e' {
		t.Errorf("of five records of 1 KiB %d are kept, the first is %d", len(records), records[0].Index)
	}
	if _, rej := n.Call(user(), id, "print", bytes.Repeat([]byte{'z'}, 5000)); rej != nil {
		t.Fatal(rej)
	}
	if records, _ = logs(t, n, user(), id); len(records) != 1 || len(records[0].Content) != 4096-16 {
		t.Errorf("a line that is too long left %d records", len(records))
	}
}

func TestLogVisibility(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	_, rej := logs(t, n, other(), id)
	rejected(t, "reading the log of a canister of somebody else", rej, types.ErrCanisterInvalidController, "controllers")
	type settings struct {
		Visibility *visibility `candid:"log_visibility"`
	}
	for _, v := range []visibility{{Public: true}, {Viewers: &[]principal.ID{other()}}} {
		if rej := update(t, n, id, settings{&v}); rej != nil {
			t.Fatal(rej)
		}
		if _, rej := logs(t, n, other(), id); rej != nil {
			t.Error(rej)
		}
	}
	if _, rej := logs(t, n, user(), id); rej != nil {
		t.Error(rej)
	}
	rejected(t, "fetch_canister_logs by an update call", n.Manage(user(), "fetch_canister_logs", onCanister{id}), types.ErrCanisterRejectedMessage, "query")
}

func TestTenViewersAreAllowed(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	for _, name := range []string{"log_visibility", "snapshot_visibility", "status_visibility"} {
		set := func(count int) *types.Reject {
			viewers := []principal.ID{}
			for i := range count {
				viewers = append(viewers, principal.SelfAuthenticating([]byte{byte(i)}))
			}
			var s struct {
				Log      *visibility `candid:"log_visibility"`
				Snapshot *visibility `candid:"snapshot_visibility"`
				Status   *visibility `candid:"status_visibility"`
			}
			to := map[string]**visibility{"log_visibility": &s.Log, "snapshot_visibility": &s.Snapshot, "status_visibility": &s.Status}[name]
			*to = &visibility{Viewers: &viewers}
			return update(t, n, id, s)
		}
		if rej := set(10); rej != nil {
			t.Errorf("ten viewers of %s: %v", name, rej)
		}
		rejected(t, "eleven viewers of "+name, set(11), types.ErrInvalidManagementPayload, name)
	}
}

type envVar struct {
	Name  string `candid:"name"`
	Value string `candid:"value"`
}

type envVars struct {
	Vars *[]envVar `candid:"environment_variables"`
}

func TestEnvironmentVariablesHaveLimits(t *testing.T) {
	n := canistertest.New(t)
	id := n.Create(user())
	set := func(vars []envVar) *types.Reject {
		t.Helper()
		return update(t, n, id, envVars{&vars})
	}
	many := func(count int) (out []envVar) {
		for i := range count {
			out = append(out, envVar{fmt.Sprint("name", i), "v"})
		}
		return out
	}
	long := strings.Repeat("x", 128)
	for name, vars := range map[string][]envVar{"twenty": many(20), "128 bytes": {{long, long}}, "none": {}} {
		if rej := set(vars); rej != nil {
			t.Errorf("%s: %v", name, rej)
		}
	}
	for name, vars := range map[string][]envVar{
		"twenty-one": many(21), "a name of 129 bytes": {{long + "x", ""}}, "a value of 129 bytes": {{"a", long + "x"}}, "twice the same": {{"a", "1"}, {"a", "2"}},
	} {
		rejected(t, name, set(vars), types.ErrCanisterContractViolation, "environment_variables")
	}
}

func TestACreationTellsTheHashOfItsEnvironmentVariables(t *testing.T) {
	n := canistertest.New(t)
	p := newProxy(t, n)
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	if rej := n.Manage(user(), "provisional_create_canister_with_cycles", struct {
		Settings *envVars `candid:"settings"`
	}{&envVars{&[]envVar{{"b", "2"}, {"a", "1"}}}}, &created); rej != nil {
		t.Fatal(rej)
	}
	var info struct {
		Total  uint64 `candid:"total_num_changes"`
		Recent []struct {
			Details struct {
				Creation *struct {
					Hash *[]byte `candid:"environment_variables_hash"`
				} `candid:"creation,variant"`
			} `candid:"details"`
		} `candid:"recent_changes"`
	}
	ten := uint64(10)
	arg := struct {
		Canister principal.ID `candid:"canister_id"`
		Changes  *uint64      `candid:"num_requested_changes"`
	}{created.ID, &ten}
	if rej := p.manage(t, "canister_info", 0, arg, &info); rej != nil {
		t.Fatal(rej)
	}
	// the hash of a map: hashes of names and values, sorted, hashed again
	pair := func(name, value string) string {
		a, b := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(value))
		return string(a[:]) + string(b[:])
	}
	pairs := []string{pair("a", "1"), pair("b", "2")}
	if pairs[0] > pairs[1] {
		pairs[0], pairs[1] = pairs[1], pairs[0]
	}
	want := sha256.Sum256([]byte(pairs[0] + pairs[1]))
	if got := info.Recent[0].Details.Creation; got == nil || got.Hash == nil || !bytes.Equal(*got.Hash, want[:]) {
		t.Errorf("the creation tells %+v, want the hash %x", got, want)
	}
}

func TestMetadataIsPublicOrForControllers(t *testing.T) {
	n := canistertest.New(t)
	p := newProxy(t, n)
	id := n.Install(user(), notebookModule(), nil)
	type arg struct {
		Canister principal.ID `candid:"canister_id"`
		Name     string       `candid:"name"`
	}
	var got struct {
		Value []byte `candid:"value"`
	}
	if rej := p.manage(t, "canister_metadata", 0, arg{id, "recipe"}, &got); rej != nil || string(got.Value) != "bread" {
		t.Errorf("the public section is %q, %v", got.Value, rej)
	}
	if rej := p.manage(t, "canister_metadata", 0, arg{id, "secret"}); rej == nil || !strings.Contains(rej.Message, "controllers") {
		t.Errorf("the private section was shown: %v", rej)
	}
	if rej := p.manage(t, "canister_metadata", 0, arg{id, "nothing"}); rej == nil || !strings.Contains(rej.Message, "no metadata section") {
		t.Errorf("a section that is not there: %v", rej)
	}
	if rej := update(t, n, id, struct {
		Controllers *[]principal.ID `candid:"controllers"`
	}{&[]principal.ID{user(), p.id}}); rej != nil {
		t.Fatal(rej)
	}
	if rej := p.manage(t, "canister_metadata", 0, arg{id, "secret"}, &got); rej != nil || string(got.Value) != "salt" {
		t.Errorf("a controller got the private section %q, %v", got.Value, rej)
	}
	rejected(t, "canister_metadata by a user", n.Manage(user(), "canister_metadata", arg{id, "recipe"}), types.ErrCanisterRejectedMessage, "only by a canister")
}

func TestMetricsGrow(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	type metrics struct {
		Consumed struct {
			Memory       *big.Int `candid:"memory"`
			Instructions *big.Int `candid:"instructions"`
			Ingress      *big.Int `candid:"ingress_induction"`
		} `candid:"cycles_consumed"`
	}
	read := func() (m metrics) {
		t.Helper()
		reply, rej := n.Query(user(), principal.ID{}, "canister_metrics", canistertest.Encode(t, onCanister{id}))
		if rej != nil {
			t.Fatal(rej)
		}
		canistertest.Decode(t, reply, &m)
		return m
	}
	before := read()
	write(t, n, id, "x")
	n.Tick(time.Hour)
	n.Tick(time.Hour)
	after := read()
	for name, pair := range map[string][2]*big.Int{
		"memory": {before.Consumed.Memory, after.Consumed.Memory}, "instructions": {before.Consumed.Instructions, after.Consumed.Instructions},
		"ingress": {before.Consumed.Ingress, after.Consumed.Ingress},
	} {
		if pair[0].Cmp(pair[1]) >= 0 {
			t.Errorf("%s went from %s to %s", name, pair[0], pair[1])
		}
	}
	rejected(t, "metrics of a canister of somebody else", n.Manage(other(), "canister_metrics", onCanister{id}), types.ErrCanisterInvalidController, "controllers")
}

func TestSubnetAdminsManageAllCanistersAndNothingElse(t *testing.T) {
	subnet, admin := canistertest.Subnet(), principal.SelfAuthenticating([]byte("admin"))
	subnet.Admins = []principal.ID{admin}
	n := canistertest.NewOn(t, subnet)
	id := n.Install(user(), notebookModule(), nil)
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	if rej := n.Inspect(admin, "create_canister", struct{}{}); rej != nil {
		t.Errorf("an admin's create_canister was not let in: %v", rej)
	}
	if rej := n.Manage(admin, "create_canister", struct{}{}, &created); rej != nil {
		t.Fatal(rej)
	}
	rejected(t, "create_canister by a user", n.Manage(user(), "create_canister", struct{}{}), types.ErrCanisterRejectedMessage, "only by a canister")
	// a canister further on makes a second range
	far := principal.Canister(1000)
	if rej := n.Manage(user(), "provisional_create_canister_with_cycles", struct {
		ID *principal.ID `candid:"specified_id"`
	}{&far}); rej != nil {
		t.Fatal(rej)
	}
	var ids struct {
		Canisters []struct {
			Start principal.ID `candid:"start"`
			End   principal.ID `candid:"end"`
		} `candid:"canisters"`
	}
	reply, rej := n.Query(admin, principal.ID{}, "list_canisters", empty(t))
	if rej != nil {
		t.Fatal(rej)
	}
	canistertest.Decode(t, reply, &ids)
	if r := ids.Canisters; len(r) != 2 || r[0].Start != id || r[0].End != created.ID || r[1].Start != far || r[1].End != far {
		t.Errorf("list_canisters gives %v", ids.Canisters)
	}
	_, rej = n.Query(user(), principal.ID{}, "list_canisters", empty(t))
	rejected(t, "list_canisters by a user", rej, types.ErrCanisterRejectedMessage, "admins")
	for _, method := range []string{"canister_status", "canister_metrics", "stop_canister", "start_canister", "uninstall_code", "stop_canister", "delete_canister"} {
		if rej := n.Inspect(admin, method, onCanister{id}); rej != nil {
			t.Errorf("%s by an admin was not let in: %v", method, rej)
		}
		if rej := n.Manage(admin, method, onCanister{id}); rej != nil {
			t.Errorf("%s by an admin: %v", method, rej)
		}
	}
	rejected(t, "update_settings by an admin", n.Manage(admin, "update_settings", struct {
		Canister principal.ID `candid:"canister_id"`
		Settings struct{}     `candid:"settings"`
	}{Canister: far}), types.ErrCanisterInvalidController, "controllers")
	if n.State().Canister(id) != nil {
		t.Error("the canister is still there")
	}
}

func TestASpecifiedIDIsFreeAndNeverUsedAgain(t *testing.T) {
	n := canistertest.New(t)
	create := func(id principal.ID) *types.Reject {
		return n.Manage(user(), "provisional_create_canister_with_cycles", struct {
			ID *principal.ID `candid:"specified_id"`
		}{&id})
	}
	id := principal.Canister(1)
	if rej := create(id); rej != nil {
		t.Fatal(rej)
	}
	rejected(t, "a taken id", create(id), types.ErrCanisterIDAlreadyExists, "already")
	rejected(t, "an id of another subnet", create(principal.Canister(1<<20+1)), types.ErrCanisterRejectedMessage, "ranges")
	rejected(t, "an id that is no canister's", create(user()), types.ErrCanisterRejectedMessage, "ranges")
	first, second := n.Create(user()), n.Create(user())
	if first != principal.Canister(0) || second != principal.Canister(2) {
		t.Errorf("the ids around it are %s and %s", first, second)
	}
	for _, method := range []string{"stop_canister", "delete_canister"} {
		if rej := n.Manage(user(), method, onCanister{id}); rej != nil {
			t.Fatal(rej)
		}
	}
	rejected(t, "the id of a deleted canister", create(id), types.ErrCanisterIDAlreadyExists, "deleted")
}

func TestIDsBeforeTheFirstThatIsGivenAreForWhoAsksForThem(t *testing.T) {
	s := canistertest.Subnet()
	s.FirstGiven = 100
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: s})
	create := func(index uint64) *types.Reject {
		id := principal.Canister(index)
		return n.Manage(user(), "provisional_create_canister_with_cycles", struct {
			ID *principal.ID `candid:"specified_id"`
		}{&id})
	}
	if id := n.Create(user()); id != principal.Canister(100) {
		t.Errorf("the first id is %s", id)
	}
	for _, index := range []uint64{7, 99, 102} {
		if rej := create(index); rej != nil {
			t.Errorf("id %d: %v", index, rej)
		}
		rejected(t, "a taken id", create(index), types.ErrCanisterIDAlreadyExists, "already")
	}
	if second, third := n.Create(user()), n.Create(user()); second != principal.Canister(101) || third != principal.Canister(103) {
		t.Errorf("then they are %s and %s", second, third)
	}
}

func TestTheSubnetTellsOfItselfAndItsBlockMakers(t *testing.T) {
	n := canistertest.New(t)
	p := newProxy(t, n)
	type arg struct {
		Subnet principal.ID `candid:"subnet_id"`
		From   uint64       `candid:"start_at_timestamp_nanos"`
	}
	own := canistertest.Subnet().ID
	var info struct {
		Version  string `candid:"replica_version"`
		Registry uint64 `candid:"registry_version"`
	}
	if rej := p.manage(t, "subnet_info", 0, arg{Subnet: own}, &info); rej != nil || info.Version != "test" || info.Registry != 7 {
		t.Errorf("subnet_info gives %+v, %v", info, rej)
	}
	if rej := p.manage(t, "subnet_info", 0, arg{Subnet: user()}); rej == nil || !strings.Contains(rej.Message, "not found") {
		t.Errorf("subnet_info of another subnet: %v", rej)
	}
	a, b := principal.SelfAuthenticating([]byte("a")), principal.SelfAuthenticating([]byte("b"))
	const day = 24 * time.Hour
	n.TickBy(time.Second, a)
	n.TickBy(time.Second, a, b)
	n.TickBy(day, a)
	n.TickBy(day, b)
	n.TickBy(time.Second, a)
	type sample struct {
		Time  uint64 `candid:"timestamp_nanos"`
		Nodes []struct {
			Node     principal.ID `candid:"node_id"`
			Proposed uint64       `candid:"num_blocks_proposed_total"`
			Failed   uint64       `candid:"num_block_failures_total"`
		} `candid:"node_metrics"`
	}
	text := func(samples []sample) string {
		var out strings.Builder
		for _, s := range samples {
			for _, node := range s.Nodes {
				name := map[principal.ID]string{a: "a", b: "b"}[node.Node]
				fmt.Fprintf(&out, "%s%d/%d ", name, node.Proposed, node.Failed)
			}
			out.WriteString("| ")
		}
		return out.String()
	}
	var samples []sample
	if rej := p.manage(t, "node_metrics_history", 0, arg{Subnet: own}, &samples); rej != nil {
		t.Fatal(rej)
	}
	want := "a2/0 b0/1 | a3/0 | a4/0 b1/0 | "
	if a.Compare(b) > 0 {
		want = "b0/1 a2/0 | a3/0 | b1/0 a4/0 | "
	}
	if got := text(samples); got != want {
		t.Errorf("the block makers are %q, want %q", got, want)
	}
	if rej := p.manage(t, "node_metrics_history", 0, arg{own, samples[2].Time}, &samples); rej != nil || len(samples) != 1 {
		t.Errorf("from the last sample on there are %d samples, %v", len(samples), rej)
	}
}

func TestTheSendersVersionMustBeItsOwn(t *testing.T) {
	n := canistertest.New(t)
	p := newProxy(t, n)
	create := func(version uint64) *types.Reject {
		return p.manage(t, "create_canister", 1_000_000_000_000, struct {
			Version *uint64 `candid:"sender_canister_version"`
		}{&version})
	}
	at := n.State().Canister(p.id).Version
	for name, wrong := range map[string]uint64{"an old version": at - 1, "a later version": at + 10} {
		if rej := create(wrong); rej == nil || !strings.Contains(rej.Message, "sender canister version") {
			t.Errorf("%s was answered %v", name, rej)
		}
	}
	if rej := create(n.State().Canister(p.id).Version); rej != nil {
		t.Errorf("the right version was answered %v", rej)
	}
}
