// Package problem puts the errors of a light client into words for the person
// who wanted to see a page: what happened, what it means, what can be done. A
// gateway and a browser's light client say the same.
package problem

import (
	"errors"
	"strings"

	"portico/lightclient"
	"portico/lightclient/asset"
	"portico/lightclient/certificate"
)

// A Problem is why no page can be shown.
type Problem struct {
	Status int    // of HTTP
	Title  string // a short sentence without a full stop
	Text   string // what it means
	Next   string // what a person can do about it
	Check  string // if an answer was refused: the check that it failed, such as "signature of the network"
	Reason string // the technical reason
	Retry  bool   // asking again may help
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
		p.refused(err)
	case is[*lightclient.Reject](err):
		reject, _ := errors.AsType[*lightclient.Reject](err)
		p.reject(reject.ErrorCode)
	case is[*lightclient.TooLargeError](err):
		p.Title = "Answer too large"
		p.Text = "The canister's answer is larger than can be passed on."
		p.Next = tellOwner
	case is[*lightclient.ResponseError](err):
		p.Title = "Invalid answer"
		p.Text = "The canister's answer breaks the rules for web pages from canisters."
		p.Next = tellOwner
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
		p.Next, p.Retry = tryLater, true
		if status.Status == tooManyRequests {
			p.Status = tooManyRequests
		}
	default:
		p.Title = "Canister error"
		p.Text = "The canister's answer cannot be used."
		p.Next, p.Retry = tellOwner, true
	}
	return p
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// What a person can do, where several problems leave the same.
const (
	tryLater  = "Wait a moment and try again."
	tellOwner = "Try again later. If it stays so, whoever runs this site has to repair it: give them the technical reason below."
	checkName = "Check the address for typing errors. If it is right, the canister was deleted, or it lives on another network than this one."
)

// refused explains an answer that failed a check.
func (p *Problem) refused(err error) {
	p.Title = "Verification failed"
	p.Text = "Something answered for this site, but what came is not what the network certified, so it is not shown. It may have been changed on its way, or be out of date."
	p.Next = "Try again: the next answer may come from another machine. If this goes on, do not trust other ways to open the site, and tell whoever runs it."
	p.Check, p.Retry = checkOf(err), true
	if p.Check == checkTime {
		p.Next = "Check that the clock of this device is right, then try again. If it is, the network has not certified anything for some minutes, or somebody holds its answers back."
	}
}

const checkTime = "time of the certificate"

// checkOf names the check that an answer failed, "" if none can be named.
func checkOf(err error) string {
	if response, ok := errors.AsType[*asset.Error](err); ok {
		return checkOfReason(response.Reason)
	}
	other, unverified := errors.AsType[*lightclient.VerificationError](err)
	switch {
	case is[*certificate.TimeError](err):
		return checkTime
	case is[*certificate.RangeError](err):
		return "range of the subnet"
	case is[*certificate.DelegationError](err):
		return "delegation to the subnet"
	case is[*certificate.SignatureError](err):
		return "signature of the network"
	case unverified:
		return "authenticity of the " + other.What
	default:
		return ""
	}
}

func checkOfReason(r asset.Reason) string {
	switch r {
	case asset.ReasonMissing:
		return "presence of a certificate"
	case asset.ReasonMalformed:
		return "form of the certificate"
	case asset.ReasonVersion, asset.ReasonDowngrade:
		return "version of the certification"
	case asset.ReasonSignature:
		return "signature of the network"
	case asset.ReasonTime:
		return checkTime
	case asset.ReasonRange:
		return "range of the subnet"
	case asset.ReasonTree:
		return "hash tree of the canister"
	case asset.ReasonPath:
		return "certified path"
	case asset.ReasonExpression:
		return "certified rules"
	case asset.ReasonRequest:
		return "certified request"
	case asset.ReasonStatus:
		return "status code"
	case asset.ReasonHeaders:
		return "headers"
	case asset.ReasonBody:
		return "body"
	default:
		return "status code, headers and body"
	}
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
		Next:   "Check your own connection. On a local network, look whether its replicas run; it starts within seconds.",
		Reason: err.Error(),
		Retry:  true,
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
		p.Next = checkName
	case "IC0508", "IC0509":
		p.Title = "Canister stopped"
		p.Text = "Whoever controls this canister has stopped it. It answers again once it is started."
		p.Next, p.Retry = "If it is yours, start it with your tool, such as \"icp canister start\".", true
	case "IC0207", "IC0530", "IC0531", "IC0532", "IC0535":
		p.Title = "Canister out of cycles"
		p.Text = "This canister cannot pay for its work until somebody tops it up with cycles."
		p.Next, p.Retry = "Anybody can top it up; it answers again at once.", true
	case "IC0536":
		p.Title = "No web page"
		p.Text = "This canister runs, but serves no web pages: it has no method http_request."
		p.Next = "It is probably the backend of a site: open the site's own address, or call the canister with a tool."
	case "IC0537":
		p.Title = "Canister empty"
		p.Text = "This canister exists, but has no code."
		p.Next, p.Retry = "If it is yours, install a module into it.", true
	case "IC0406":
		p.Title = "Canister refused"
		p.Text = "The canister did not want to answer this request."
		p.Next = tellOwner
	default:
		p.Title = "Canister error"
		p.Text = "The canister failed while it answered this request."
		p.Next, p.Retry = tellOwner, true
	}
}
