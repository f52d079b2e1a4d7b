package live

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/crypto/usersig"
	"portico/node/ingress"
	"portico/node/types"
)

// get asks a handler for a path, perhaps from a height on.
func get(t *testing.T, h http.Handler, path string, height types.Height) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if height > 0 {
		r.Header.Set(heightHeader, strconv.FormatUint(uint64(height), 10))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestAnAnswerIsNotOlderThanWhatItsUserHasSeen(t *testing.T) {
	s := startSubnet(t, 1, testInterval)
	n := s.nodes[0]
	h := n.reach(t, 0).view.Height + 3
	resp := get(t, n.API(), "/api/v2/status", h)
	got, err := strconv.ParseUint(resp.Header.Get(heightHeader), 10, 64)
	if err != nil || types.Height(got) < h {
		t.Errorf("the answer is of height %d, %v, want at least %d", got, err, h)
	}
	// nobody will ever have this one, and it must not keep anybody from an answer
	resp = get(t, n.API(), "/api/v2/status", 1<<60)
	if resp.StatusCode != http.StatusOK || resp.Header.Get(heightHeader) == "" {
		t.Errorf("status %d, height %q", resp.StatusCode, resp.Header.Get(heightHeader))
	}
}

func TestAReplicaWithoutACertifiedStateSaysSo(t *testing.T) {
	s := newSubnet(t, 4, testInterval)
	s.start(0) // alone it certifies nothing
	n := s.nodes[0]
	defer s.stop(0)
	var unavailable *api.Unavailable
	if _, err := n.Certified(); !errors.As(err, &unavailable) {
		t.Errorf("Certified: %v", err)
	}
	if _, _, err := n.Query(t.Context(), api.Query{Request: &envelope.Request{}}); !errors.As(err, &unavailable) {
		t.Errorf("Query: %v", err)
	}
	if _, err := n.Submit(t.Context(), api.Ingress{}); !errors.As(err, &unavailable) {
		t.Errorf("Submit: %v", err)
	}
	if n.Status().Healthy {
		t.Error("it is healthy")
	}
	body, err := io.ReadAll(get(t, n.Pages(""), "/", 0).Body)
	if err != nil || !strings.Contains(string(body), "Starting") {
		t.Errorf("the status page does not say that it is starting: %v\n%s", err, body)
	}
}

func TestPagesShowTheNodeAndItsFigures(t *testing.T) {
	s := startSubnet(t, 4, testInterval)
	n := s.nodes[2]
	increment(t, n, installCounter(t, n))
	body, err := io.ReadAll(get(t, n.Pages(""), "/", 0).Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Running", n.NodeID().String(), s.nodes[0].NodeID().String(), "member 2 of 4", s.records.Subnet.ID.String()} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page does not have %q:\n%s", want, body)
		}
	}
	families, err := n.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for _, name := range []string{
		"portico_height", "portico_blocks_per_second", "portico_blocks_finalized_total", "portico_calls_finalized_total",
		"portico_notarization_delay_seconds", "portico_finalization_delay_seconds", "portico_certification_delay_seconds", "portico_execution_seconds",
		"portico_round_seconds", "portico_disk_transactions_total", "portico_signatures_verified_total", "portico_signatures_made_total",
		"portico_pool_artifacts", "portico_peer_bytes_total", "portico_peer_connected",
	} {
		if values[name] == 0 {
			t.Errorf("%s is 0, or not there", name)
		}
	}
}

// TestPeersHandOverOnlyCallsThatUsersMayMake changes calls in ways that a peer's own interface
// would not have let pass.
func TestPeersHandOverOnlyCallsThatUsersMayMake(t *testing.T) {
	s := startSubnet(t, 1, testInterval)
	n := s.nodes[0]
	at := now()
	key, err := envelope.NewEd25519(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	canister := principal.Canister(5)
	for _, x := range []struct {
		name      string
		ahead     time.Duration
		effective principal.ID
		forge     bool
		want      string
	}{
		{"a call", time.Minute, canister, false, ""},
		{"a peer's clock is ahead of ours", usersig.MaxIngressExpiry + maxClockSkew/2, canister, false, ""},
		{"far ahead", usersig.MaxIngressExpiry + 2*maxClockSkew, canister, false, "expiry"},
		{"expired", -time.Second, canister, false, "expiry"},
		{"for another canister", time.Minute, principal.Canister(6), false, "effective canister id"},
		{"signed by nobody", time.Minute, canister, true, "signature"},
	} {
		e, err := envelope.Keyed{Signer: key}.Sign(envelope.Request{
			Kind: envelope.Call, Canister: canister, Method: "m", IngressExpiry: uint64(at.Add(x.ahead)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if x.forge {
			e.SenderSig[5] ^= 1
		}
		c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil), Effective: x.effective})
		if err != nil {
			t.Fatal(err)
		}
		err = n.check(c, at)
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: error %v, want one with %q", x.name, err, x.want)
		}
	}
}

func TestSubmitEndsWithItsRequestAndWithTheNode(t *testing.T) {
	s := startSubnet(t, 1, testInterval)
	n := s.nodes[0]
	e, err := envelope.Anonymous{}.Sign(envelope.Request{Kind: envelope.Call, Canister: principal.Canister(1), Method: "m", IngressExpiry: uint64(now().Add(time.Minute))})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil), Effective: principal.Canister(1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.hand(ctx, c); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("after its request was gone: %v", err)
	}
	s.stop(0)
	var unavailable *api.Unavailable
	if err := n.hand(t.Context(), c); !errors.As(err, &unavailable) {
		t.Errorf("after the node had stopped: %v", err)
	}
}

func TestTheUserIsToldWhenNoMoreCallsCanBeRemembered(t *testing.T) {
	s := startSubnet(t, 1, 1000)
	n := s.nodes[0]
	id := installCounter(t, n)
	s.stop(0) // so that no round looks at the history again
	n.states.full.Store(true)
	e, err := envelope.Anonymous{}.Sign(envelope.Request{Kind: envelope.Call, Canister: id, Method: "inc", IngressExpiry: uint64(now().Add(time.Minute))})
	if err != nil {
		t.Fatal(err)
	}
	rej, err := n.Submit(t.Context(), api.Ingress{Envelope: e, Raw: e.Append(nil), Effective: api.Target{ID: id}})
	if err != nil || rej == nil || rej.Code != types.ErrIngressHistoryFull {
		t.Errorf("%v, %v, want IC0204", rej, err)
	}
}
