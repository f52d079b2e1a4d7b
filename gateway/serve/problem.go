package serve

import (
	"errors"
	"net/http"

	"portico/gateway/host"
	"portico/gateway/page"
	"portico/lightclient"
	"portico/lightclient/asset"
)

// problemOfHost explains why a host has no target.
func problemOfHost(err error) page.Problem {
	var name *host.NotACanister
	if errors.As(err, &name) {
		return page.Problem{
			Status: http.StatusBadRequest,
			Title:  "Not a canister",
			Text:   "The address does not name a canister. A canister looks like ryjl3-tyaaa-aaaaa-aaaba-cai; check it for typing errors.",
			Reason: err.Error(),
		}
	}
	return page.Problem{
		Status: http.StatusBadRequest,
		Title:  "Unknown domain",
		Text:   "This gateway does not serve the name in the address.",
		Reason: err.Error(),
	}
}

func unreachable(err error) page.Problem {
	return page.Problem{
		Status: http.StatusServiceUnavailable,
		Title:  "Network unreachable",
		Text:   "The gateway gets no answer from the network. Try again in a moment.",
		Reason: err.Error(),
	}
}

// problemOf explains why a canister gave no answer that may be shown. All but a
// missing canister are temporary as far as HTTP is concerned.
func problemOf(err error) page.Problem {
	var (
		certification *asset.Error
		unverified    *lightclient.VerificationError
		reject        *lightclient.Reject
		status        *lightclient.StatusError
		large         *lightclient.TooLargeError
		invalid       *lightclient.ResponseError
		transport     *lightclient.TransportError
	)
	switch {
	case errors.As(err, &certification), errors.As(err, &unverified):
		return page.Problem{
			Status: http.StatusServiceUnavailable,
			Title:  "Verification failed",
			Text:   "The answer that arrived is not what the canister certified. It is withheld: whoever sent it may have changed it.",
			Reason: err.Error(),
		}
	case errors.As(err, &reject):
		return problemOfReject(reject)
	case errors.As(err, &large):
		return page.Problem{
			Status: http.StatusServiceUnavailable,
			Title:  "Answer too large",
			Text:   "The canister's answer is larger than this gateway passes on.",
			Reason: err.Error(),
		}
	case errors.As(err, &transport):
		return unreachable(err)
	case errors.As(err, &invalid):
		return page.Problem{
			Status: http.StatusServiceUnavailable,
			Title:  "Invalid answer",
			Text:   "The canister's answer breaks the rules for web pages from canisters.",
			Reason: err.Error(),
		}
	case errors.As(err, &status):
		p := unreachable(err)
		p.Title, p.Text = "Network refused", "The network did not take the request."
		if status.Status == http.StatusTooManyRequests {
			p.Status = http.StatusTooManyRequests
		}
		return p
	default:
		return page.Problem{
			Status: http.StatusServiceUnavailable,
			Title:  "Canister error",
			Text:   "The canister's answer cannot be used.",
			Reason: err.Error(),
		}
	}
}

// problemOfReject explains why a canister did not run or failed
// (interface specification, "Error codes").
func problemOfReject(r *lightclient.Reject) page.Problem {
	p := page.Problem{Status: http.StatusServiceUnavailable, Reason: r.Error()}
	switch r.ErrorCode {
	case "IC0301", "IC0405":
		p.Status = http.StatusNotFound
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
	return p
}
