package api

import (
	"fmt"
	"net/http"

	"portico/lightclient/candid"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
)

// Methods of the management canister with rules of their own.
const (
	methodCreate            = "create_canister"
	methodProvisionalCreate = "provisional_create_canister_with_cycles"
	methodInstallChunked    = "install_chunked_code"
	methodList              = "list_canisters"
)

// A destination is which effective ids a call or query may have (interface
// specification, "Effective canister id").
type destination struct {
	// canister is the only effective canister id allowed, if named.
	canister principal.ID
	named    bool
	// anywhere says that the request concerns no canister: any effective canister
	// id will do, and a subnet too.
	anywhere bool
}

// destinationOf finds out where a request must be sent. A request to the management
// canister that names no canister where its method has one, or whose method
// is not known, is neither named nor anywhere: the replica rejects it, wherever it came.
func destinationOf(r *envelope.Request) destination {
	if !r.Canister.IsManagement() {
		return destination{canister: r.Canister, named: true}
	}
	field := "canister_id"
	switch {
	case r.Kind == envelope.Call && (r.Method == methodCreate || r.Method == methodProvisionalCreate),
		r.Kind == envelope.Query && r.Method == methodList:
		return destination{anywhere: true}
	case r.Kind == envelope.Call && r.Method == methodInstallChunked:
		field = "target_canister"
	}
	id, ok := principalField(r.Arg, field)
	return destination{canister: id, named: ok}
}

// principalField reads one field of a Candid-encoded record and skips the rest.
func principalField(arg []byte, field string) (principal.ID, bool) {
	values, err := candid.Decode(arg, candid.RecordOf(candid.F(field, candid.PrincipalType)))
	if err != nil {
		return principal.ID{}, false
	}
	record, ok := values[0].(candid.Record)
	if !ok {
		return principal.ID{}, false
	}
	id, ok := record.Get(field).(candid.Principal)
	return principal.ID(id), ok
}

// checkEffective checks the id in the path against what the request is about and
// what this subnet hosts.
func checkEffective(r *envelope.Request, dest destination, target Target, snapshot Snapshot) error {
	if target.Subnet {
		if !dest.anywhere {
			return refuse(http.StatusBadRequest, "method %q of canister %s cannot be sent to a subnet: send it to the canister that it concerns", r.Method, r.Canister)
		}
		return checkOwnSubnet(target, snapshot)
	}
	if dest.anywhere {
		return nil
	}
	if dest.named && dest.canister != target.ID {
		return refuse(http.StatusBadRequest, "effective canister id %s in the path: the request concerns canister %s", target.ID, dest.canister)
	}
	return checkHosted(target, snapshot)
}

// CheckEffective checks the effective id of a call that another node accepted: the rules are
// those for calls that come to this node, as far as a block still shows them. Hosts reports
// whether the subnet hosts a canister id.
func CheckEffective(call *envelope.Request, effective principal.ID, hosts func(principal.ID) bool) error {
	dest := destinationOf(call)
	switch {
	case dest.anywhere:
		return nil
	case dest.named && dest.canister != effective:
		return fmt.Errorf("effective canister id %s: the call concerns canister %s", effective, dest.canister)
	case !hosts(effective):
		return fmt.Errorf("effective canister id %s: the subnet does not host it", effective)
	default:
		return nil
	}
}

func checkOwnSubnet(target Target, snapshot Snapshot) error {
	if own := snapshot.Topology().Subnet; target.ID != own {
		return refuse(http.StatusBadRequest, "effective subnet id %s in the path: this is a replica of subnet %s", target.ID, own)
	}
	return nil
}

func checkHosted(target Target, snapshot Snapshot) error {
	if !snapshot.Hosts(target.ID) {
		return refuse(http.StatusBadRequest, "effective canister id %s in the path: it is not in the canister ranges of subnet %s, to which this replica belongs",
			target.ID, snapshot.Topology().Subnet)
	}
	return nil
}
