package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A control is what Cache-Control headers say; a duration below 0 was not given.
type control struct {
	noStore, noCache, private, public, mustRevalidate, noTransform bool

	maxAge, sharedMaxAge, whileRevalidate, ifError time.Duration
}

// parseControl reads Cache-Control headers. Directives that name fields count for
// all of the response; an age that is no number is 0, which is on the safe side.
func parseControl(values []string) control {
	c := control{maxAge: -1, sharedMaxAge: -1, whileRevalidate: -1, ifError: -1}
	for _, v := range values {
		for directive := range strings.SplitSeq(v, ",") {
			name, arg, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store":
				c.noStore = true
			case "no-cache":
				c.noCache = true
			case "private":
				c.private = true
			case "public":
				c.public = true
			case "must-revalidate", "proxy-revalidate":
				c.mustRevalidate = true
			case "no-transform":
				c.noTransform = true
			case "max-age":
				c.maxAge = seconds(arg)
			case "s-maxage":
				c.sharedMaxAge = seconds(arg)
			case "stale-while-revalidate":
				c.whileRevalidate = seconds(arg)
			case "stale-if-error":
				c.ifError = seconds(arg)
			}
		}
	}
	return c
}

// maxSeconds is the largest age (RFC 9111, 1.2.2, leaves it to us): ten years.
const maxSeconds = 10 * 365 * 24 * 3600

func seconds(arg string) time.Duration {
	text := strings.Trim(strings.TrimSpace(arg), `"`)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !strings.HasSuffix(err.Error(), strconv.ErrRange.Error()) {
		return 0
	}
	return time.Duration(min(n, maxSeconds)) * time.Second
}

// lifetime is how long an answer is fresh by what its canister says, and whether
// it says anything.
func (c *control) lifetime(fields []Field, now time.Time) (d time.Duration, given bool) {
	switch {
	case c.sharedMaxAge >= 0:
		return c.sharedMaxAge, true
	case c.maxAge >= 0:
		return c.maxAge, true
	}
	expires := valueOf(fields, "Expires")
	if expires == "" {
		return 0, false
	}
	at, err := http.ParseTime(expires)
	if err != nil {
		return 0, true // "0" and the like mean that it is not fresh
	}
	if date, err := http.ParseTime(valueOf(fields, "Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}

// heuristic reports whether answers of a status may be kept that do not say for
// how long (RFC 9110, 15.1).
func heuristic(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusPartialContent,
		http.StatusMultipleChoices, http.StatusMovedPermanently, http.StatusPermanentRedirect,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong:
		return true
	default:
		return false
	}
}
