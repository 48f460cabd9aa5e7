// Package redact takes names and passwords out of addresses that people are
// shown: in errors, in logs, in what is handed to others.
package redact

import (
	"regexp"
	"strings"
)

// inURL is what stands before the host of a URL in a text. A password that was
// written as it is may hold anything but blanks and quotes, so that it goes up to
// the last @ of the word.
var inURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>` + "`" + `]*@`)

// Text is a text with *** in place of what stands before the host of each URL in
// it. A path with an @ loses what is before that: too much is not shown, never
// too little. The name alone of whoever logs in over SSH is not a secret.
func Text(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return inURL.ReplaceAllStringFunc(s, func(found string) string {
		scheme, before, _ := strings.Cut(found, "://")
		if strings.HasPrefix(scheme, "ssh") && !strings.Contains(before, ":") {
			return found
		}
		return scheme + "://***@"
	})
}

// Address is Text of something that is an address as a whole: where it has no
// scheme, what is before the last @ is gone too.
func Address(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	} else {
		scheme += "://"
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = "***" + rest[i:]
	}
	return scheme + rest
}
