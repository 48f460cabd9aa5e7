package launcher

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed programs
var programFiles embed.FS

const (
	programPrefix = "lockstep-helper-"
	// maxProgram bounds a helper, unpacked.
	maxProgram = 16 << 20
)

// Programs are helpers that can be lent to instances, packed by gzip, by the kind of
// their machine as `uname -m` calls it. None at all is none.
type Programs map[string][]byte

// BuiltIn are the helpers that this program was built with; see the folder programs.
// They are not to be changed.
var BuiltIn = sync.OnceValue(func() Programs {
	files, err := programFiles.ReadDir("programs")
	if err != nil {
		panic("launcher: embedded files: " + err.Error())
	}
	all := Programs{}
	for _, f := range files {
		machine, is := strings.CutPrefix(strings.TrimSuffix(f.Name(), ".gz"), programPrefix)
		if !is {
			continue
		}
		if all[machine], err = programFiles.ReadFile("programs/" + f.Name()); err != nil {
			panic("launcher: embedded files: " + err.Error())
		}
	}
	return all
})

// Machines are those that there is a helper for, in order.
func (p Programs) Machines() []string { return slices.Sorted(maps.Keys(p)) }

// largest is the most bytes that one of them takes on an instance, about: what it
// takes packed, threefold.
func (p Programs) largest() int {
	n := 0
	for _, packed := range p {
		n = max(n, 3*len(packed))
	}
	return n
}

// programDigests remembers what was unpacked once: a process lends the same few
// programs to all instances.
var programDigests sync.Map // string(packed's SHA-256) -> string

// programDigest is the SHA-256, in hex, of a program as it will lie on an instance.
func programDigest(packed []byte) (string, error) {
	key := sha256.Sum256(packed)
	if known, ok := programDigests.Load(key); ok {
		return known.(string), nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", fmt.Errorf("unpack the helper: %w", err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(r, maxProgram+1))
	if err == nil && n > maxProgram {
		err = fmt.Errorf("it has more than %d MiB", maxProgram>>20)
	}
	if err != nil {
		return "", fmt.Errorf("unpack the helper: %w", err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	programDigests.Store(key, digest)
	return digest, nil
}
