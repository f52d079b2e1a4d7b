package api

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"portico/lightclient/hashtree"
	"portico/node/types"
)

// Labels of the state tree (interface specification, "The system state tree").
const (
	labelTime           = "time"
	labelBoundaryNodes  = "api_boundary_nodes"
	labelSubnet         = "subnet"
	labelCanisterRanges = "canister_ranges"
	labelRequestStatus  = "request_status"
	labelCanister       = "canister"
	labelPublicKey      = "public_key"
	labelType           = "type"
	labelNode           = "node"
	labelMetrics        = "metrics"
	labelMetadata       = "metadata"
)

// Errors about a path: one that nobody may read because it has no meaning, and one
// that this reader may not read here.
type (
	bogusPath  struct{ reason string }
	deniedPath struct{ reason string }
)

func (e *bogusPath) Error() string  { return e.reason }
func (e *deniedPath) Error() string { return e.reason }

func bogus(format string, args ...any) error  { return &bogusPath{fmt.Sprintf(format, args...)} }
func denied(format string, args ...any) error { return &deniedPath{fmt.Sprintf(format, args...)} }

func statusOf(err error) int {
	if _, ok := errors.AsType[*deniedPath](err); ok {
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// reveal decides whether the reader may ask for a path, and returns the paths that
// the certificate shows for it: the path itself, or those parts of the subtree
// below that this endpoint tells.
func (who reader) reveal(path hashtree.Path) ([]hashtree.Path, error) {
	if len(path) == 0 {
		return nil, bogus("the whole tree cannot be read")
	}
	var err error
	switch string(path[0]) {
	case labelTime:
		if len(path) != 1 {
			err = bogus("nothing is below /%s", labelTime)
		}
	case labelBoundaryNodes:
		err = checkBoundaryNodePath(path)
	case labelCanisterRanges:
		err = who.checkRangesPath(path)
	case labelSubnet:
		return who.revealSubnets(path)
	case labelRequestStatus:
		err = who.checkStatusPath(path)
	case labelCanister:
		err = who.checkCanisterPath(path)
	default:
		err = bogus("the state tree has no such path")
	}
	return []hashtree.Path{path}, err
}

func checkBoundaryNodePath(path hashtree.Path) error {
	if len(path) <= 2 || (len(path) == 3 && oneOf(path[2], "domain", "ipv4_address", "ipv6_address")) {
		return nil
	}
	return bogus("want /%s[/<node>[/domain, ipv4_address or ipv6_address]]", labelBoundaryNodes)
}

func (who reader) checkRangesPath(path hashtree.Path) error {
	switch {
	case !who.subnet:
		return denied("canister ranges can only be read at /api/v2/subnet/<id>/read_state and /api/v3/subnet/<id>/read_state")
	case len(path) != 2:
		return bogus("want /%s/<subnet>", labelCanisterRanges)
	}
	return nil
}

func (who reader) checkStatusPath(path hashtree.Path) error {
	if len(path) < 2 || len(path) > 3 ||
		(len(path) == 3 && !oneOf(path[2], "status", "reply", "reject_code", "reject_message", "error_code")) {
		return bogus("want /%s/<request id>[/status, reply, reject_code, reject_message or error_code]", labelRequestStatus)
	}
	var id types.RequestID
	if len(path[1]) != len(id) {
		return bogus("a request id has %d bytes, this one %d", len(id), len(path[1]))
	}
	copy(id[:], path[1])
	request, ok := who.snapshot.Request(id)
	switch {
	case !ok:
		return nil // the certificate proves that it is not known
	case request.Sender != who.auth.Sender:
		return denied("the request was sent by someone else")
	case request.Effective.ID != who.target.ID: // no canister has the id of a subnet
		return denied("the request was sent to another effective id than %s", who.target.ID)
	case !who.auth.MayReach(request.Canister):
		return denied("the request was sent to canister %s, which is not among the targets of the delegations", request.Canister)
	}
	return nil
}

func (who reader) checkCanisterPath(path hashtree.Path) error {
	if who.subnet || len(path) < 2 || string(path[1]) != who.target.ID.Raw() {
		return denied("only canister %s can be read here", who.target.ID)
	}
	switch {
	case len(path) == 3 && oneOf(path[2], "module_hash", "controllers", "canister_creation_timestamp", "last_install_timestamp"):
		return nil
	case len(path) == 4 && string(path[2]) == labelMetadata:
	case len(path) == 3 && string(path[2]) == "certified_data":
		return denied("certified data is shown to canisters only")
	default:
		return bogus("want /%s/<canister>/{module_hash, controllers, canister_creation_timestamp, last_install_timestamp or %s/<name>}", labelCanister, labelMetadata)
	}
	switch name := path[3]; {
	case !utf8.Valid(name):
		return bogus("the name of the metadata section is not UTF-8")
	case !who.snapshot.MayReadMetadata(who.target.ID, string(name), who.auth.Sender):
		return denied("metadata section %q is private, and %s is not a controller", name, who.auth.Sender)
	}
	return nil
}

// revealSubnets checks a path below /subnet. Keys and types of all subnets may be
// read, nodes and metrics of this one, and ranges where the endpoint is of the
// older version or the subnet is the root.
func (who reader) revealSubnets(path hashtree.Path) ([]hashtree.Path, error) {
	if len(path) == 1 {
		return who.revealEverySubnet(path), nil
	}
	subnet := path[1]
	if len(path) == 2 {
		return who.revealSubnet(path, subnet), nil
	}
	shown := []hashtree.Path{path}
	switch what := string(path[2]); {
	case len(path) == 3 && (what == labelPublicKey || what == labelType):
		return shown, nil
	case len(path) == 3 && what == labelCanisterRanges:
		if !who.mayReadFlatRanges(subnet) {
			return nil, denied("the canister ranges of this subnet are read as /%s/<subnet> at /api/v3/subnet/<id>/read_state", labelCanisterRanges)
		}
		return shown, nil
	case len(path) == 3 && what == labelMetrics:
		if !who.subnet || string(subnet) != who.target.ID.Raw() {
			return nil, denied("the metrics of a subnet can only be read at /api/v3/subnet/<that subnet>/read_state")
		}
		return shown, nil
	case what == labelNode && (len(path) <= 4 || (len(path) == 5 && string(path[4]) == labelPublicKey)):
		if who.isOther(subnet) {
			return nil, nil // may be asked for, is not told
		}
		return shown, nil
	}
	return nil, bogus("want /%s[/<subnet>[/{%s, %s, %s, %s or %s[/<node>[/%s]]}]]",
		labelSubnet, labelPublicKey, labelType, labelCanisterRanges, labelMetrics, labelNode, labelPublicKey)
}

func (who reader) revealEverySubnet(path hashtree.Path) []hashtree.Path {
	if len(who.topology.All) == 0 {
		return []hashtree.Path{path}
	}
	var shown []hashtree.Path
	for _, id := range who.topology.All {
		subnet := id.Bytes()
		shown = append(shown, who.revealSubnet(hashtree.Path{path[0], subnet}, subnet)...)
	}
	return shown
}

// revealSubnet shows what may be told of a subnet. Of this one nothing may be
// pruned that agents look up, present or not, so its subtree is shown whole where possible.
func (who reader) revealSubnet(path hashtree.Path, subnet []byte) []hashtree.Path {
	flat := who.mayReadFlatRanges(subnet)
	if !who.isOther(subnet) && flat {
		return []hashtree.Path{path}
	}
	labels := []string{labelPublicKey, labelType}
	if flat {
		labels = append(labels, labelCanisterRanges)
	}
	if !who.isOther(subnet) {
		labels = append(labels, labelNode, labelMetrics)
	}
	shown := make([]hashtree.Path, len(labels))
	for i, l := range labels {
		shown[i] = append(slices.Clone(path), []byte(l))
	}
	return shown
}

func (who reader) mayReadFlatRanges(subnet []byte) bool {
	return who.flatRanges || string(subnet) == who.topology.Root.Raw()
}

// isOther reports whether a label is the id of a subnet that is listed, but not this one.
func (who reader) isOther(subnet []byte) bool {
	return string(subnet) != who.topology.Subnet.Raw() &&
		slices.ContainsFunc(who.topology.All, func(id types.SubnetID) bool { return id.Raw() == string(subnet) })
}

func oneOf(label []byte, names ...string) bool { return slices.Contains(names, string(label)) }

// maxPathText bounds how much of a path an error message repeats.
const maxPathText = 200

// pathText writes labels as text where they are printable ASCII, else in hexadecimal.
func pathText(path hashtree.Path) string {
	var b strings.Builder
	for _, label := range path {
		b.WriteByte('/')
		if b.Len() > maxPathText {
			b.WriteString("…")
			break
		}
		part := label[:min(len(label), maxPathText)]
		if slices.ContainsFunc(part, func(c byte) bool { return c <= ' ' || c > '~' }) {
			b.WriteString("0x" + hex.EncodeToString(part))
		} else {
			b.Write(part)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}
