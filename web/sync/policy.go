package sync

import (
	"fmt"
	"strings"
)

// policy is a set of security headers that rules can ask for by name.
type policy int

const (
	noPolicy policy = iota // nobody said anything
	disabledPolicy
	standardPolicy
	hardenedPolicy // the standard one, improved by headers of the rule's own
)

func parsePolicy(v jsonValue) (func(*properties), error) {
	names := map[string]policy{"disabled": disabledPolicy, "standard": standardPolicy, "hardened": hardenedPolicy}
	p, ok := names[v.text]
	if v.kind != jsonString || !ok {
		return nil, fmt.Errorf("%q is not known; there are disabled, standard and hardened", v.text)
	}
	return func(to *properties) { to.policy = p }, nil
}

// securityHeaders are those of the standard policy, which the network's other tools
// set to the same values: a site keeps its headers when it changes tools.
func securityHeaders() map[string]string {
	features := []string{
		"accelerometer", "ambient-light-sensor", "autoplay", "battery", "camera", "cross-origin-isolated", "display-capture", "document-domain",
		"encrypted-media", "execution-while-not-rendered", "execution-while-out-of-viewport", "fullscreen", "geolocation", "gyroscope",
		"keyboard-map", "magnetometer", "microphone", "midi", "navigation-override", "payment", "picture-in-picture",
		"publickey-credentials-get", "screen-wake-lock", "sync-xhr", "usb", "web-share", "xr-spatial-tracking", "clipboard-read",
		"clipboard-write", "gamepad", "speaker-selection", "conversion-measurement", "focus-without-user-activation", "hid", "idle-detection",
		"interest-cohort", "serial", "sync-script", "trust-token-redemption", "window-placement", "vertical-scroll",
	}
	return map[string]string{
		"Content-Security-Policy": strings.Join([]string{
			"default-src 'self'", "script-src 'self'", "connect-src 'self' http://localhost:* https://icp0.io https://*.icp0.io https://icp-api.io",
			"img-src 'self' data:", "style-src * 'unsafe-inline'", "style-src-elem * 'unsafe-inline'", "font-src *", "object-src 'none'",
			"base-uri 'self'", "frame-ancestors 'none'", "form-action 'self'", "upgrade-insecure-requests",
		}, ";") + ";",
		"Permissions-Policy":        strings.Join(features, "=(), ") + "=()",
		"X-Frame-Options":           "DENY",
		"Referrer-Policy":           "same-origin",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		"X-Content-Type-Options":    "nosniff",
		"X-XSS-Protection":          "1; mode=block",
	}
}

// allHeaders are the headers of a file: the rule's own, then those of the policy whose
// names the rule does not use. Nil is none.
func (p *properties) allHeaders() map[string]string {
	if p.policy != standardPolicy && p.policy != hardenedPolicy {
		if p.policy == disabledPolicy && p.headers == nil {
			return map[string]string{}
		}
		return p.headers
	}
	out, own := map[string]string{}, map[string]bool{}
	for name, value := range p.headers {
		out[name] = value
		own[strings.ToLower(name)] = true
	}
	for name, value := range securityHeaders() {
		if !own[strings.ToLower(name)] {
			out[name] = value
		}
	}
	return out
}
