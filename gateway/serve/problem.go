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
			Text:   "The address does not name a canister.",
			Next:   "Check it for typing errors. A canister's name looks like ryjl3-tyaaa-aaaaa-aaaba-cai; its last letters check the others, so one wrong letter is enough.",
			Reason: err.Error(),
		}
	}
	return page.Problem{
		Status: http.StatusBadRequest,
		Title:  "Unknown domain",
		Text:   "This gateway does not serve the name in the address.",
		Next:   "Check the address. If the domain is yours, whoever runs the gateway has to add it first.",
		Reason: err.Error(),
	}
}

// problemOf makes a page of what the light client says.
func problemOf(p problem.Problem) page.Problem {
	return page.Problem{Status: p.Status, Title: p.Title, Text: p.Text, Next: p.Next, Check: p.Check, Reason: p.Reason, Retry: p.Retry}
}
