package access

import (
	"encoding/json"
	"log/slog"
)

// Secret is a word that must not be shown. Whatever prints, formats, logs or
// encodes it shows "***"; only Reveal gives it.
type Secret struct{ word string }

// NewSecret hides a word.
func NewSecret(word string) Secret { return Secret{word} }

// Reveal is the word. It is for the one place that needs it.
func (s Secret) Reveal() string { return s.word }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.word == "" }

const redacted = "***"

// String, GoString, LogValue, MarshalJSON and MarshalText hide the word from
// everything that would write it by itself.
func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
