package live

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"portico/node/types"
)

// heightHeader is how a gateway says which height its users have seen, and how a replica
// says which height its answer is of. Both are hints: nobody is believed for them.
const heightHeader = "Portico-Height"

// maxBehind is how long a request waits for a height that this replica does not have yet.
const maxBehind = time.Second

// ordered answers requests from a state that is no older than what their user has seen
// already from other replicas.
type ordered struct {
	next   http.Handler
	states *States
}

func (o *ordered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, err := strconv.ParseUint(r.Header.Get(heightHeader), 10, 64); err == nil {
		o.await(r.Context(), types.Height(h))
	}
	o.next.ServeHTTP(&heightWriter{ResponseWriter: w, states: o.states}, r)
}

// await waits for a height, but not for ever: it may be one that nobody has. The answer
// shows its own height, and the gateway may ask another replica.
func (o *ordered) await(ctx context.Context, h types.Height) {
	if s := o.states.snapshot.Load(); s == nil || s.view.Height >= h {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxBehind)
	defer cancel()
	_, _ = o.states.await(ctx, func(s *snapshot) bool { return s.view.Height >= h })
}

// heightWriter adds the height of the newest certified state to an answer, which is that
// of the answer or a newer one.
type heightWriter struct {
	http.ResponseWriter
	states *States
	begun  bool
}

func (w *heightWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *heightWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

func (w *heightWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if s := w.states.snapshot.Load(); s != nil {
		w.Header().Set(heightHeader, strconv.FormatUint(uint64(s.view.Height), 10))
	}
}

// Unwrap lets http.ResponseController find what is below.
func (w *heightWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
