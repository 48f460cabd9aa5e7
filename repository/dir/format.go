package dir

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"lockstep"
	"lockstep/repository"
)

// lockstep.json is JSON laid out so that a part can be read, and checked,
// without the rest:
//
//	{
//	  "lockstep_backup": 1,               the format's version, always first
//	  "manifest": {…},                    the lockstep.Backup
//	  "files": [{…}],                     a record for each artifact
//	  "metadata_sha256": "…",             of the file "metadata" beside it
//	  "head_sha256": "…",                 of all bytes above this line
//	  "entries": {
//	"NAME": [                             a section for each artifact, in the
//	{"path":".",…},                       order of files; length and SHA-256
//	{"path":"dump",…}                     are in its record
//	],
//	…
//	}
//	}
//
// Of an encrypted backup the version is 2, and there is no section (seal.go).
//
// Every byte that means something is covered by head_sha256 or by a record.

const (
	formatVersion = 1 // or sealedVersion, where artifacts are encrypted
	maxHead       = 64 << 20
	headSumKey    = `  "head_sha256": "`
	entriesStart  = "  \"entries\": {\n"
	sectionEnd    = ",\n"
	fileEnd       = "\n}\n}\n"
)

// head is the part of lockstep.json above the entries.
type head struct {
	Version  int             `json:"lockstep_backup"`
	Manifest lockstep.Backup `json:"manifest"`
	Files    []record        `json:"files"`
	Metadata string          `json:"metadata_sha256"`

	// sections is where the first section begins.
	sections int64
}

// encode gives the file's bytes up to the first section.
func (h *head) encode() ([]byte, error) {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest of backup %q: %w", h.Manifest.ID, err)
	}
	b = append(bytes.TrimSuffix(b, []byte("\n}")), ",\n"...)
	if len(b) > maxHead {
		return nil, fmt.Errorf("encode manifest of backup %q: it has more than %d MiB", h.Manifest.ID, maxHead>>20)
	}
	sum := sha256.Sum256(b)
	return fmt.Appendf(b, "%s%x\",\n%s", headSumKey, sum, entriesStart), nil
}

// readHead reads a file from its start up to the first section. Whatever is
// wrong with it wraps ErrCorrupt, except a newer version.
func readHead(r io.Reader) (*head, error) {
	in := bufio.NewReaderSize(io.LimitReader(r, maxHead+1<<10), 64<<10)
	var b []byte
	for {
		line, err := in.ReadSlice('\n')
		if bytes.HasPrefix(line, []byte(headSumKey)) && (len(b) == 0 || b[len(b)-1] == '\n') {
			return decodeHead(b, string(line), in)
		}
		b = append(b, line...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if versionErr := checkVersion(b); versionErr != nil {
				return nil, versionErr
			}
			if err != io.EOF {
				return nil, err
			}
			return nil, corrupt("it has no checksum of its head")
		}
	}
}

func decodeHead(b []byte, sumLine string, rest *bufio.Reader) (*head, error) {
	if err := checkVersion(b); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	if sumLine != headSumKey+hex.EncodeToString(sum[:])+"\",\n" {
		return nil, corrupt("its head is not what its checksum says")
	}
	start := make([]byte, len(entriesStart))
	if _, err := io.ReadFull(rest, start); err != nil || string(start) != entriesStart {
		return nil, corrupt("no entries follow its head")
	}
	h := &head{sections: int64(len(b) + len(sumLine) + len(start))}
	if err := json.Unmarshal(append(bytes.TrimSuffix(b, []byte(",\n")), '}'), h); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", repository.ErrCorrupt, manifestFile, err)
	}
	if h.Manifest.V != 1 {
		return nil, newer("manifest in "+manifestFile, h.Manifest.V)
	}
	return h, h.check()
}

// check makes sure that the head can be relied on by those who use its names
// as file names and its lengths as offsets.
func (h *head) check() error {
	names := map[string]bool{}
	for _, rec := range h.Files {
		err := lockstep.CheckName("artifact", rec.Name)
		if err != nil || !rec.named() || rec.sealed() != (h.Version == sealedVersion) || names[rec.Name] || rec.Bytes < 0 || rec.ListBytes < 0 {
			return corrupt(fmt.Sprintf("its record of artifact %q is malformed", rec.Name))
		}
		names[rec.Name] = true
	}
	for _, a := range h.Manifest.Artifacts {
		rec, _, ok := h.find(a.Name)
		if !ok || rec.Digest != a.Digest {
			return corrupt(fmt.Sprintf("its record of artifact %q is not that of its manifest", a.Name))
		}
	}
	return nil
}

// find gives an artifact's record, and where its section begins.
func (h *head) find(name string) (record, int64, bool) {
	at := h.sections
	for _, rec := range h.Files {
		if rec.Name == name {
			return rec, at, true
		}
		if !rec.sealed() {
			at += rec.ListBytes + int64(len(sectionEnd))
		}
	}
	return record{}, 0, false
}

// size is how long the whole file must be.
func (h *head) size() int64 {
	n := h.sections + int64(len(fileEnd))
	for i, rec := range h.Files {
		if rec.sealed() {
			continue
		}
		if n += rec.ListBytes; i > 0 {
			n += int64(len(sectionEnd))
		}
	}
	return n
}

// checkVersion looks at the first member only, which every version has.
func checkVersion(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	open, _ := dec.Token()
	key, _ := dec.Token()
	value, _ := dec.Token()
	version, isNumber := value.(float64)
	switch {
	case open != json.Delim('{') || key != "lockstep_backup" || !isNumber || version < 1 || version != float64(int(version)):
		return corrupt("it does not begin with its version")
	case version != formatVersion && version != sealedVersion:
		return newer(manifestFile, int(version))
	}
	return nil
}

func newer(what string, version int) error {
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "read " + what,
		Err:  fmt.Errorf("its format has version %d, this program knows version %d", version, sealedVersion),
		Hint: "use the program that wrote the backup, or a later one",
	}
}

func corrupt(what string) error {
	return fmt.Errorf("%w: %s: %s", repository.ErrCorrupt, manifestFile, what)
}
