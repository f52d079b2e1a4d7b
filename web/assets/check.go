package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what an asset may bring along. Key and headers are in every answer,
// whose size the system limits; an asset beyond them could be stored and not served.
const (
	maxKeyBytes    = 2048
	maxHeaders     = 100
	maxHeaderBytes = 32 << 10
)

// checkKey refuses keys that cannot be certified.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key of the asset is empty")
	case len(key) > maxKeyBytes:
		return fmt.Errorf("the key of the asset has %d bytes; at most %d are allowed", len(key), maxKeyBytes)
	}
	for s := range strings.SplitSeq(key, "/") {
		// these end the paths of certifications: below them, an asset would stand in for a whole folder
		if s == "<$>" || s == "<*>" {
			return fmt.Errorf("key %q: no part of a path may be %s, which certification reserves", key, s)
		}
	}
	return nil
}

// reservedHeaders frame a response or are what the canister says of it itself.
func reservedHeaders() []string {
	return []string{
		"connection", "content-length", "content-range", "ic-certificate", "ic-certificateexpression", "keep-alive",
		"te", "trailer", "transfer-encoding", "upgrade",
	}
}

// checkHeaders refuses headers that no gateway could pass on.
func checkHeaders(key string, headers *[]headerField) error {
	if headers == nil {
		return nil
	}
	total := 0
	for _, h := range *headers {
		total += len(h.Name) + len(h.Value)
		switch {
		case h.Name == "" || strings.ContainsFunc(h.Name, notInToken):
			return fmt.Errorf("asset %q: %q is no name of a header", key, h.Name)
		case strings.ContainsFunc(h.Value, control):
			return fmt.Errorf("asset %q: header %s has a control character in its value %q", key, h.Name, h.Value)
		case slices.Contains(reservedHeaders(), strings.ToLower(h.Name)):
			return fmt.Errorf("asset %q: header %s is not the asset's to set", key, h.Name)
		}
	}
	if len(*headers) > maxHeaders || total > maxHeaderBytes {
		return fmt.Errorf("asset %q: %d headers of %d bytes; at most %d of %d are allowed", key, len(*headers), total, maxHeaders, maxHeaderBytes)
	}
	return nil
}

// checkContentType refuses what cannot be the value of a header.
func checkContentType(key, contentType string) error {
	if len(contentType) > maxKeyBytes || strings.ContainsFunc(contentType, control) {
		return fmt.Errorf("asset %q: content type %.100q", key, contentType)
	}
	return nil
}

// checkEncoding refuses what cannot name a content encoding.
func checkEncoding(key, name string) error {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, notInToken) {
		return fmt.Errorf("asset %q: %.100q is no name of a content encoding", key, name)
	}
	return nil
}

// notInToken is what names of headers must not have (RFC 9110, "Tokens").
func notInToken(r rune) bool {
	return ('a' > r || r > 'z') && ('A' > r || r > 'Z') && ('0' > r || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
