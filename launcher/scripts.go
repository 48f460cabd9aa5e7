package launcher

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"lockstep/target"
)

// PutScripts puts the scripts that the run brings along into the folder scripts
// beside the claim, durably, each under its digest, by which texts has them. They
// stay until the last run that has anything there lets go. It is to be called by
// the run that owns the instance, and may be repeated.
func (c *Client) PutScripts(ctx context.Context, texts map[string]string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, digest := range slices.Sorted(maps.Keys(texts)) {
		text := texts[digest]
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: digest, Mode: 0o700, Size: int64(len(text))})
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			return fmt.Errorf("pack scripts: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack scripts: %w", err)
	}
	if err := c.stream(ctx, "scripts-in", target.Streams{Stdin: &archive}, "=scripts"); err != nil {
		return fmt.Errorf("put the scripts on the instance: %w", err)
	}
	return nil
}
