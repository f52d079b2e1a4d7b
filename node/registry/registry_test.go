package registry

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/types"
)

func records(n int) *Records {
	r := &Records{Version: 1, Subnet: Subnet{
		ID: principal.SelfAuthenticating([]byte("subnet")), Type: "application", UnitDelay: time.Second, NotaryDelay: 300 * time.Millisecond,
		Interval: 500, Low: Transcript{Threshold: types.Faults(n) + 1}, High: Transcript{Threshold: types.Quorum(n)}, Genesis: 1, CostNodes: 13,
	}}
	for range r.Subnet.Low.Threshold {
		r.Subnet.Low.Coefficients = append(r.Subnet.Low.Coefficients, make([]byte, 96))
	}
	for range r.Subnet.High.Threshold {
		r.Subnet.High.Coefficients = append(r.Subnet.High.Coefficients, make([]byte, 96))
	}
	for i := range n {
		id := principal.SelfAuthenticating([]byte{byte(i), byte(i >> 8)})
		r.Nodes = append(r.Nodes, Node{ID: id, Key: []byte{byte(i)}, Peers: "127.0.0.1:1", API: "127.0.0.1:2"})
	}
	slices.SortFunc(r.Nodes, func(a, b Node) int { return a.ID.Compare(b.ID) })
	for _, node := range r.Nodes {
		r.Subnet.Members = append(r.Subnet.Members, node.ID)
	}
	return r
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	for _, n := range []int{1, 2, 4, 6, 13} {
		r := records(n)
		if n > 1 { // without any, the form is that of records from before there were admins
			r.Subnet.Admins = records(min(n, MaxAdmins)).Subnet.Members
		}
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r, got) {
			t.Errorf("read %+v, want %+v", got, r)
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("the encoding changes: %v", err)
		}
	}
}

func TestEveryDamageIsNoticed(t *testing.T) {
	b, err := records(4).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x10
		if _, err := Decode(damaged); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Fatalf("byte %d is changed: %v", i, err)
		}
		if _, err := Decode(b[:i]); err == nil {
			t.Fatalf("%d bytes of %d are read", i, len(b))
		}
	}
}

func TestRecordsThatDoNotFitAreRefusedWithTheReason(t *testing.T) {
	for _, x := range []struct {
		want string
		harm func(*Records)
	}{
		{"the subnet has 0 members, want 1 to 1000", func(r *Records) { r.Subnet.Members = nil }},
		{"the subnet has 1001 members, want 1 to 1000", func(r *Records) { *r = *records(1001) }},
		{"the members are not in order", func(r *Records) { slices.Reverse(r.Subnet.Members) }},
		{"the members are not in order", func(r *Records) { r.Subnet.Members[1] = r.Subnet.Members[0] }},
		{"the nodes are not in order", func(r *Records) { slices.Reverse(r.Nodes) }},
		{"delays and the interval must be positive", func(r *Records) { r.Subnet.Interval = 0 }},
		{"delays and the interval must be positive", func(r *Records) { r.Subnet.UnitDelay = 0 }},
		{"delays and the interval must be positive", func(r *Records) { r.Subnet.NotaryDelay = -1 }},
		{"delays and the interval must be positive", func(r *Records) { r.Subnet.IdleDelay = -1 }},
		{"thresholds 3 and 3 do not fit 4 members", func(r *Records) { r.Subnet.Low.Threshold = 3 }},
		{"thresholds 2 and 2 do not fit 4 members", func(r *Records) { r.Subnet.High.Threshold = 2 }},
		{"a threshold key has as many coefficients as its threshold", func(r *Records) { r.Subnet.Low.Coefficients = r.Subnet.Low.Coefficients[1:] }},
		{"a threshold key has as many coefficients as its threshold", func(r *Records) { r.Subnet.High.Coefficients = nil }},
		{"the subnet admins are not at most 10", func(r *Records) { r.Subnet.Admins = records(MaxAdmins + 1).Subnet.Members }},
		{"the subnet admins are not at most 10, in order, each once", func(r *Records) { r.Subnet.Admins = []principal.ID{{}, {}} }},
		{"the first id that is given out, 7, is none of 8 to 9", func(r *Records) { r.Subnet.FirstCanister, r.Subnet.LastCanister, r.Subnet.FirstGiven = 8, 9, 7 }},
		{"the first id that is given out, 10, is none of 8 to 9", func(r *Records) { r.Subnet.FirstCanister, r.Subnet.LastCanister, r.Subnet.FirstGiven = 8, 9, 10 }},
		{"has no record", func(r *Records) { r.Nodes = r.Nodes[1:] }},
	} {
		r := records(4)
		x.harm(r)
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
}

func TestRecordsHaveOneForm(t *testing.T) {
	b, err := records(1).Encode()
	if err != nil {
		t.Fatal(err)
	}
	// the outermost map without its length
	content := append(append([]byte{0xbf}, b[sha256.Size+1:]...), 0xff)
	sum := sha256.Sum256(content)
	if _, err := Decode(append(sum[:], content...)); err == nil || !strings.Contains(err.Error(), "not canonical") {
		t.Errorf("another form: %v", err)
	}
}

func TestNodesAndMembersAreFound(t *testing.T) {
	r := records(4)
	for i, id := range r.Subnet.Members {
		if m, ok := r.Subnet.Member(id); !ok || m != types.Member(i) || r.Node(id).ID != id {
			t.Errorf("member %d is found as %d, %t", i, m, ok)
		}
	}
	stranger := principal.SelfAuthenticating([]byte("stranger"))
	if _, ok := r.Subnet.Member(stranger); ok || r.Node(stranger) != nil {
		t.Error("a stranger is a member")
	}
}

func FuzzDecode(f *testing.F) {
	b, err := records(1).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[sha256.Size:])
	f.Fuzz(func(t *testing.T, content []byte) {
		sum := sha256.Sum256(content)
		encoded := append(sum[:], content...)
		r, err := Decode(encoded)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, encoded) {
			t.Errorf("read %x, written as %x: %v", content, again[min(len(again), sha256.Size):], err)
		}
	})
}
