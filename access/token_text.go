package access

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// A token is "lks_", its id, "_", its secret, and a checksum of both, so that
// it can be found where it leaked, and a mistyped one is known without a look
// into the store: lks_[a-z2-7]{16}_[a-z2-7]{59}.
const (
	tokenPrefix = "lks_"
	idBytes     = 10
	secretBytes = 32
	idChars     = 16
	secretChars = 52
	sumChars    = 7
	tokenChars  = len(tokenPrefix) + idChars + 1 + secretChars + sumChars
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// tokenText is a token taken apart.
type tokenText struct {
	id     string
	secret []byte
}

// newTokenText makes a token of 256 random bits and an id of 80.
func newTokenText() tokenText {
	b := make([]byte, idBytes+secretBytes)
	_, _ = rand.Read(b) // never fails
	return tokenText{id: letters.EncodeToString(b[:idBytes]), secret: b[idBytes:]}
}

// String is the token as its owner keeps it.
func (t tokenText) String() string {
	body := t.id + "_" + letters.EncodeToString(t.secret)
	return tokenPrefix + body + checksum(body)
}

// parseToken takes a token apart. It reports false for what is none: of wrong
// length, letters or checksum.
func parseToken(s string) (tokenText, bool) {
	body, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) != tokenChars || body[idChars] != '_' {
		return tokenText{}, false
	}
	body, sum := body[:len(body)-sumChars], body[len(body)-sumChars:]
	if checksum(body) != sum { // no secret: it keeps nobody out
		return tokenText{}, false
	}
	id, err := letters.DecodeString(body[:idChars])
	if err != nil || len(id) != idBytes {
		return tokenText{}, false
	}
	secret, err := letters.DecodeString(body[idChars+1:])
	if err != nil || len(secret) != secretBytes {
		return tokenText{}, false
	}
	t := tokenText{id: body[:idChars], secret: secret}
	return t, t.String() == s // one way to write each
}

func checksum(body string) string {
	return letters.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
}
