package lockstep

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MarshalJSON writes an entry for people and programs: its type as a letter,
// its mode in octal, its sum in hex and only if it is a file. A path or link
// that is not UTF-8 is written as {"base64": …}, for JSON would alter it.
func (e Entry) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 192+len(e.Path)+len(e.Link))
	b = appendRawText(append(b, `{"path":`...), e.Path)
	b = append(append(append(b, `,"type":"`...), byte(e.Type)), `","mode":"0`...)
	b = strconv.AppendUint(b, uint64(e.Mode), 8)
	b = strconv.AppendInt(append(b, `","uid":`...), int64(e.UID), 10)
	b = strconv.AppendInt(append(b, `,"gid":`...), int64(e.GID), 10)
	b = strconv.AppendInt(append(b, `,"mtime":`...), e.MTime, 10)
	if e.Type == EntryFile {
		b = strconv.AppendInt(append(b, `,"size":`...), e.Size, 10)
		b = append(hex.AppendEncode(append(b, `,"sum":"`...), e.Sum[:]), '"')
	}
	if e.Link != "" {
		b = appendRawText(append(b, `,"link":`...), e.Link)
	}
	return append(b, '}'), nil
}

// entryJSON is what MarshalJSON writes.
type entryJSON struct {
	Path  rawText `json:"path"`
	Type  string  `json:"type"`
	Mode  string  `json:"mode"`
	UID   int     `json:"uid"`
	GID   int     `json:"gid"`
	MTime int64   `json:"mtime"`
	Size  int64   `json:"size"`
	Sum   string  `json:"sum"`
	Link  rawText `json:"link"`
}

// UnmarshalJSON reads what MarshalJSON writes, and nothing else. It does not
// judge the path: NewEntryList does.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var j entryJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return fmt.Errorf("decode artifact entry: %w", err)
	}
	mode, err := strconv.ParseUint(j.Mode, 8, 12)
	if err != nil || len(j.Type) != 1 || j.Size < 0 {
		return fmt.Errorf("decode artifact entry %q: bad type, mode or size", string(j.Path))
	}
	*e = Entry{
		Path: string(j.Path), Type: EntryType(j.Type[0]), Mode: uint32(mode), UID: j.UID, GID: j.GID,
		MTime: j.MTime, Size: j.Size, Link: string(j.Link),
	}
	if e.Type != EntryFile && j.Sum == "" {
		return nil
	}
	if n, err := hex.Decode(e.Sum[:], []byte(j.Sum[:min(len(j.Sum), 2*len(e.Sum))])); err != nil || n != len(e.Sum) || len(j.Sum) != 2*n {
		return fmt.Errorf("decode artifact entry %q: bad sum %q", e.Path, j.Sum)
	}
	return nil
}

// rawText is bytes of any encoding in JSON: a string where they are UTF-8,
// {"base64": …} where they are not.
type rawText string

// UnmarshalJSON reads either form.
func (t *rawText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var raw struct {
		Base64 *string `json:"base64"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw.Base64 == nil {
		return errors.New(`neither a string nor {"base64": …}`)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(*raw.Base64)
	*t = rawText(b)
	return err
}

func appendRawText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		b = base64.StdEncoding.AppendEncode(append(b, `{"base64":"`...), []byte(s))
		return append(b, `"}`...)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a valid string always has a JSON form
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
