//go:build opstest

package ops

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// block is what stands between two fences of the document.
type block struct {
	section, language, text string
	used                    bool
}

// document is docs/operations.md: what the operator does here is what it says.
type document struct {
	t      *testing.T
	blocks []*block
}

func readDocument(t *testing.T) *document {
	t.Helper()
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	d := &document{t: t}
	var section string
	var in *block
	var indent string
	for line := range strings.Lines(string(b)) {
		fence := strings.TrimSpace(line)
		switch {
		case in != nil && fence == "```":
			in = nil
		case in != nil:
			in.text += strings.TrimPrefix(line, indent)
		case strings.HasPrefix(fence, "```"):
			indent, _, _ = strings.Cut(line, "`")
			in = &block{section: section, language: strings.TrimPrefix(fence, "```")}
			d.blocks = append(d.blocks, in)
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(strings.TrimPrefix(line, "## "))
		}
	}
	return d
}

// block is the block of that section with these words in it. There is one.
func (d *document) block(section, words string) string {
	d.t.Helper()
	var found []*block
	for _, b := range d.blocks {
		if b.section == section && strings.Contains(b.text, words) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		d.t.Fatalf("the document has %d blocks with %q under %q", len(found), words, section)
	}
	found[0].used = true
	return found[0].text
}

// done fails the test if there are commands that were not run.
func (d *document) done() {
	d.t.Helper()
	for _, b := range d.blocks {
		if b.language == "sh" && !b.used {
			d.t.Errorf("these commands of %q were not run:\n%s", b.section, b.text)
		}
	}
}

// with is a text in which something that the reader has to fill in is filled in.
func with(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("there is no %q to fill in:\n%s", pair[0], text)
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}
