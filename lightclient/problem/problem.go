// Package problem puts the errors of a light client into words for the person
// who wanted to see a page: what happened, what it means, what can be done. A
// gateway and a browser's light client say the same.
package problem

import (
	"errors"
	"strings"

	"portico/lightclient"
	"portico/lightclient/asset"
)

// A Problem is why no page can be shown.
type Problem struct {
	Status int    // of HTTP
	Title  string // a short sentence without a full stop
	Text   string // what it means
	Reason string // the technical reason
}

// The statuses. All but a missing canister are temporary as far as HTTP is concerned.
const (
	badRequest      = 400
	notFound        = 404
	tooManyRequests = 429
	unavailable     = 503
)

// Of explains an error of Client.HTTPRequest.
func Of(err error) Problem {
	p := Problem{Status: unavailable, Reason: err.Error()}
	switch {
	case is[*asset.Error](err), is[*lightclient.VerificationError](err):
		p.Title = "Verification failed"
		p.Text = "The answer that arrived is not what the canister certified. It is withheld: whoever sent it may have changed it."
	case is[*lightclient.Reject](err):
		reject, _ := errors.AsType[*lightclient.Reject](err)
		p.reject(reject.ErrorCode)
	case is[*lightclient.TooLargeError](err):
		p.Title = "Answer too large"
		p.Text = "The canister's answer is larger than can be passed on."
	case is[*lightclient.ResponseError](err):
		p.Title = "Invalid answer"
		p.Text = "The canister's answer breaks the rules for web pages from canisters."
	case is[*lightclient.TransportError](err):
		return Unreachable(err)
	case is[*lightclient.StatusError](err):
		status, _ := errors.AsType[*lightclient.StatusError](err)
		if nowhere(status) {
			p.reject(canisterNotFound)
			break
		}
		p.Title = "Network refused"
		p.Text = "The network did not take the request."
		if status.Status == tooManyRequests {
			p.Status = tooManyRequests
		}
	default:
		p.Title = "Canister error"
		p.Text = "The canister's answer cannot be used."
	}
	return p
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// nowhere reports whether no subnet of the network hosts the canister: a single
// replica says so in these words, boundary nodes by this name.
func nowhere(e *lightclient.StatusError) bool {
	return e.Status == badRequest &&
		(strings.Contains(e.Text, "not in the canister ranges") || strings.Contains(e.Text, "canister_not_found"))
}

// Unreachable explains that no answer came.
func Unreachable(err error) Problem {
	return Problem{
		Status: unavailable,
		Title:  "Network unreachable",
		Text:   "No answer comes from the network. Try again in a moment.",
		Reason: err.Error(),
	}
}

const canisterNotFound = "IC0301"

// reject explains why a canister did not run or failed (interface
// specification, "Error codes").
func (p *Problem) reject(code string) {
	switch code {
	case canisterNotFound, "IC0405":
		p.Status = notFound
		p.Title = "No such canister"
		p.Text = "There is no canister with this id on the network."
	case "IC0508", "IC0509":
		p.Title = "Canister stopped"
		p.Text = "Whoever controls this canister has stopped it. It answers again once it is started."
	case "IC0207", "IC0530", "IC0531", "IC0532", "IC0535":
		p.Title = "Canister out of cycles"
		p.Text = "This canister cannot pay for its work until somebody tops it up with cycles."
	case "IC0536":
		p.Title = "No web page"
		p.Text = "This canister runs, but serves no web pages: it has no method http_request."
	case "IC0537":
		p.Title = "Canister empty"
		p.Text = "This canister exists, but has no code."
	case "IC0406":
		p.Title = "Canister refused"
		p.Text = "The canister did not want to answer this request."
	default:
		p.Title = "Canister error"
		p.Text = "The canister failed while it answered this request."
	}
}
