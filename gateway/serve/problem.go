package serve

import (
	"errors"
	"net/http"

	"portico/gateway/host"
	"portico/gateway/page"
	"portico/lightclient/problem"
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

// problemOf makes a page of what the light client says.
func problemOf(p problem.Problem) page.Problem {
	return page.Problem{Status: p.Status, Title: p.Title, Text: p.Text, Reason: p.Reason}
}
