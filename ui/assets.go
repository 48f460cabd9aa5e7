package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets are the files that pages refer to, by name.
type assets map[string]file

type file struct {
	content []byte
	// mark is a piece of the content's digest: a page that names it gets that
	// very content, however long a browser has kept it.
	mark string
}

func loadAssets() assets {
	a := assets{}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // the files are in the binary
	}
	for _, e := range entries {
		b, err := fs.ReadFile(assetFiles, "assets/"+e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(b)
		a[e.Name()] = file{b, hex.EncodeToString(sum[:8])}
	}
	return a
}

// address is where a page finds an asset.
func (a assets) address(name string) string { return "/assets/" + name + "?v=" + a[name].mark }

func (u *Pages) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	f, ok := u.assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+f.mark+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.mark {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}
