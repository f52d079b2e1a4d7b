package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"portico/lightclient/principal"
	"portico/node/live"
	"portico/node/types"
	"portico/web/dashboard"
)

const (
	// statusTimeout is how long the start page waits for a replica.
	statusTimeout = 1500 * time.Millisecond
	// maxDocumentBytes bounds what a replica may answer: a list of a hundred canisters takes
	// a third of it.
	maxDocumentBytes = 256 << 10
)

// dashboard makes the start page of the network.
func (n *network) dashboard(r *replicas) *dashboard.Dashboard {
	s := &r.records.Subnet
	cfg := dashboard.Config{
		Source: &statuses{replicas: r, sample: filepath.Join(n.folder().path, sampleFile)}, RootKey: r.rootKey, Domain: n.domains[0], Log: slog.Default(),
		Subnets: []dashboard.Subnet{{
			ID: s.ID.String(), Type: s.Type, Nodes: len(s.Members), Faults: types.Faults(len(s.Members)),
			First: principal.Canister(s.FirstCanister).String(), Last: principal.Canister(s.LastCanister).String(),
		}},
	}
	if dir := n.worker(); dir != "" {
		cfg.Script = dashboard.ReadScript(os.DirFS(dir))
	}
	return dashboard.New(cfg)
}

// statuses ask the status pages of a network's replicas, which listen on the loopback.
type statuses struct {
	replicas *replicas
	sample   string // file that says where the sample dapp is
}

// Replicas implements dashboard.Source.
func (s *statuses) Replicas(ctx context.Context) []dashboard.Replica {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	out := make([]dashboard.Replica, len(s.replicas.nodes))
	var asking sync.WaitGroup
	for i, node := range s.replicas.nodes {
		asking.Go(func() { out[i] = statusOf(ctx, node) })
	}
	asking.Wait()
	return out
}

func statusOf(ctx context.Context, node *supervised) dashboard.Replica {
	r := dashboard.Replica{Name: fmt.Sprintf("node %d", node.index), ID: node.record.ID.String(), Page: "http://" + node.at.metrics.address + "/"}
	var f live.Figures
	if err := document(ctx, node, "/status.json", &f); err != nil {
		r.State = "does not answer"
		return r
	}
	r.Alive, r.Notarized, r.Final, r.Certified = true, f.Notarized, f.Finalized, f.Certified
	r.Connected, r.Peers, r.Version, r.Root, r.UpSeconds = f.Connected, f.Members-1, f.Version, f.Root, f.UpSeconds
	r.Blocks, r.Messages, r.Canisters = f.BlocksPerSecond, f.Messages, f.Canisters
	if !f.Healthy {
		r.Alive, r.State = false, f.State
	}
	return r
}

// Canisters implements dashboard.Source: it asks one replica after the other.
func (s *statuses) Canisters(ctx context.Context, after string) (dashboard.Canisters, error) {
	if after != "" {
		if _, err := principal.Parse(after); err != nil {
			return dashboard.Canisters{}, fmt.Errorf("%q is no canister: %w", after, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var list live.CanisterList
	var err error
	for _, node := range s.replicas.nodes {
		list = live.CanisterList{}
		if err = document(ctx, node, "/canisters.json?after="+url.QueryEscape(after), &list); err == nil {
			break
		}
	}
	if err != nil {
		return dashboard.Canisters{}, fmt.Errorf("no replica lists the canisters: %w", err)
	}
	names := s.names()
	out := dashboard.Canisters{Total: list.Total, More: list.More}
	for _, c := range list.Canisters {
		name := c.Name
		if name == "" {
			name = names[c.ID]
		}
		out.Items = append(out.Items, dashboard.Canister{
			ID: c.ID, Name: name, Status: c.Status, ModuleHash: c.ModuleHash, Web: c.Web, Controllers: c.Controllers, Cycles: c.Cycles, MemoryBytes: c.MemoryBytes,
		})
	}
	return out, nil
}

// names are those of the sample dapp's canisters, by their ids.
func (s *statuses) names() map[string]string {
	b, err := os.ReadFile(s.sample)
	var d deployed
	if err != nil || json.Unmarshal(b, &d) != nil {
		return nil // there is no sample
	}
	return map[string]string{d.Frontend: "sample frontend", d.Backend: "sample backend"}
}

// document gets a JSON document from a replica's status pages.
func document(ctx context.Context, node *supervised, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+node.at.metrics.address+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxDocumentBytes))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", node.name(), response.StatusCode, strings.TrimSpace(string(b)))
	}
	return json.Unmarshal(b, into)
}
