package sitetest

import (
	"os"
	"strings"
	"testing"
)

// Document is the blocks of a document in Markdown, each with the text before it.
type Document []Block

// Block is one of them, with the word that says of which language it is.
type Block struct{ Before, Language, Text string }

// ReadDocument reads a document.
func ReadDocument(t *testing.T, path string) Document {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var d Document
	parts := strings.Split(string(b), "```")
	for i := 1; i+1 < len(parts); i += 2 {
		language, text, _ := strings.Cut(parts[i], "\n")
		d = append(d, Block{parts[i-1], language, text})
	}
	return d
}

// File is what the document says of a file.
func (d Document) File(t *testing.T, name string) string {
	t.Helper()
	for _, b := range d {
		if strings.Contains(b.Before[strings.LastIndex(strings.TrimSpace(b.Before), "\n")+1:], "`"+name+"`:") {
			return b.Text
		}
	}
	t.Fatalf("the document does not say what is in %s", name)
	return ""
}
