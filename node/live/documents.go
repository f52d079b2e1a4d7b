package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"portico/lightclient/principal"
	"portico/node/execution"
	"portico/node/state"
	"portico/node/types"
)

// Figures are how a replica is doing: the document at /status.json of its Pages.
type Figures struct {
	Version string `json:"version"`
	Node    string `json:"node"`
	Subnet  string `json:"subnet"`
	Healthy bool   `json:"healthy"`
	State   string `json:"state"` // a sentence for people
	// Member is the node's number among the Members of its subnet, Faults how many of them
	// may fail.
	Member  int `json:"member"`
	Members int `json:"members"`
	Faults  int `json:"faults"`
	// Connected is the number of peers that there are connections to.
	Connected int   `json:"connected"`
	UpSeconds int64 `json:"up_seconds"`

	Notarized uint64 `json:"notarized"`
	Finalized uint64 `json:"finalized"`
	Executed  uint64 `json:"executed"`
	Certified uint64 `json:"certified"`
	CatchUp   uint64 `json:"catch_up"`
	Root      string `json:"root"` // hex of the executed state's root hash

	BlocksPerSecond float64 `json:"blocks_per_second"` // of the newest 60
	Waiting         int     `json:"waiting"`           // users' calls that wait for a block
	// What follows is of the newest certified state: Messages counts the update messages
	// since genesis.
	Canisters int    `json:"canisters"`
	Messages  uint64 `json:"messages"`
}

// figures collects them; it takes up to inspectTimeout if the node is busy.
func (r *Replica) figures(now time.Time) Figures {
	s, answered := r.inspect()
	members := &r.cfg.Records.Subnet
	member, _ := members.Member(r.self.ID)
	h := r.metrics.current()
	f := Figures{
		Version: Version, Node: r.self.ID.String(), Subnet: members.ID.String(), Healthy: answered && r.Status().Healthy,
		Member: int(member), Members: len(members.Members), Faults: types.Faults(len(members.Members)), UpSeconds: int64(now.Sub(r.opened).Seconds()),
		Notarized: uint64(s.Notarized), Finalized: uint64(s.Finalized), Executed: uint64(s.Executed), Certified: uint64(s.Certified), CatchUp: uint64(s.CatchUp),
		Root: fmt.Sprintf("%x", h.root), BlocksPerSecond: r.metrics.rate(now), Waiting: s.Calls,
	}
	switch {
	case !answered:
		f.State = "The node does not answer: it has stopped, or has very much to do."
	case s.Lost:
		f.Healthy, f.State = false, "Left behind: it was away for so long that its peers no longer keep the blocks that it needs next."
	case !f.Healthy:
		f.State = "Starting: no state was certified since the start."
	default:
		f.State = "Running"
	}
	for _, p := range r.transport.Stats() {
		if p.Connected {
			f.Connected++
		}
	}
	if shown := r.states.snapshot.Load(); shown != nil {
		f.Canisters, f.Messages = len(shown.state.IDs()), shown.state.Metrics.UpdateTransactions
	}
	return f
}

// Canister is what CanisterList tells of a canister.
type Canister struct {
	ID string `json:"id"`
	// Name is what the environment variables of the canisters of its project call it, if anything.
	Name   string `json:"name,omitempty"`
	Status string `json:"status"` // running, stopping or stopped
	// ModuleHash is hex, "" without code; Web says whether the module answers HTTP requests.
	ModuleHash  string `json:"module_hash,omitempty"`
	Web         bool   `json:"web"`
	Controllers int    `json:"controllers"`
	Cycles      string `json:"cycles"` // decimal
	MemoryBytes uint64 `json:"memory_bytes"`
}

// CanisterList is a part of the canisters, in the order of their ids: the document at
// /canisters.json?after=ID&limit=N of a replica's Pages, as of its newest certified state.
type CanisterList struct {
	Total     int        `json:"total"`
	Canisters []Canister `json:"canisters"`
	More      bool       `json:"more"` // there are others after these
}

// The number of canisters in one list.
const (
	defaultListed = 50
	maxListed     = 100
)

// list lists at most limit canisters after one, the zero ID for all.
func (s *snapshot) list(after principal.ID, limit int) CanisterList {
	ids := s.state.IDs()
	from, found := slices.BinarySearchFunc(ids, after, principal.ID.Compare)
	if found {
		from++
	}
	part := ids[from:min(from+limit, len(ids))]
	names := namesOf(s.state, part)
	out := CanisterList{Total: len(ids), Canisters: make([]Canister, 0, len(part)), More: from+len(part) < len(ids)}
	for _, id := range part {
		c := s.state.Canister(id)
		d := Canister{
			ID: id.String(), Name: names[id], Status: c.Status.String(), Controllers: len(c.Settings.Controllers),
			Cycles: c.Cycles.String(), MemoryBytes: execution.MemoryUsage(c),
		}
		if c.Code != nil {
			d.ModuleHash, d.Web = fmt.Sprintf("%x", c.Code.ModuleHash), s.states.metadata.describe(id, c.Code).web
		}
		out.Canisters = append(out.Canisters, d)
	}
	return out
}

// nameVariable is how tools tell canisters each other's ids: PUBLIC_CANISTER_ID:<name>.
const nameVariable = "PUBLIC_CANISTER_ID:"

// maxNameBytes is how long a name may be that is shown.
const maxNameBytes = 64

// namesOf finds the names of canisters in the environment variables of all. Only a canister
// with a controller in common may name another.
func namesOf(s *state.State, ids []types.CanisterID) map[types.CanisterID]string {
	names := map[types.CanisterID]string{}
	for _, by := range s.IDs() {
		settings := &s.Canister(by).Settings
		for _, v := range settings.EnvVars {
			name, ok := strings.CutPrefix(v.Name, nameVariable)
			if !ok || name == "" || len(name) > maxNameBytes {
				continue
			}
			id, err := principal.Parse(v.Value)
			if err != nil || names[id] != "" {
				continue
			}
			if _, asked := slices.BinarySearchFunc(ids, id, principal.ID.Compare); asked && related(settings, &s.Canister(id).Settings) {
				names[id] = name
			}
		}
	}
	return names
}

func related(a, b *state.Settings) bool {
	return slices.ContainsFunc(a.Controllers, func(id principal.ID) bool { return slices.Contains(b.Controllers, id) })
}

// serveFigures answers with Figures.
func (r *Replica) serveFigures(w http.ResponseWriter, _ *http.Request) {
	r.serveJSON(w, r.figures(time.Now()))
}

// serveCanisters answers with a CanisterList.
func (r *Replica) serveCanisters(w http.ResponseWriter, req *http.Request) {
	limit, after := defaultListed, principal.ID{}
	query := req.URL.Query()
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxListed {
			http.Error(w, fmt.Sprintf("limit: want 1 to %d", maxListed), http.StatusBadRequest)
			return
		}
		limit = n
	}
	if text := query.Get("after"); text != "" {
		id, err := principal.Parse(text)
		if err != nil {
			http.Error(w, "after: "+err.Error(), http.StatusBadRequest)
			return
		}
		after = id
	}
	shown := r.states.snapshot.Load()
	if shown == nil {
		http.Error(w, "no state was certified since the start", http.StatusServiceUnavailable)
		return
	}
	r.serveJSON(w, shown.list(after, limit))
}

func (r *Replica) serveJSON(w http.ResponseWriter, document any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		r.cfg.Log.Debug("a document was not sent", "error", err)
	}
}
