package lockstep_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// retired are words that texts for people must not have, each with what is said in
// their place. The bbr program has the original's words.
var retired = map[*regexp.Regexp]string{
	regexp.MustCompile(`makes? no sense`):                                      "malformed",
	regexp.MustCompile(`being answered, and no more`):                          "limit of N … reached",
	regexp.MustCompile(`none of that (name|id|address)`):                       "not found; not found, or not visible to you",
	regexp.MustCompile(`say what to do:`):                                      "missing subcommand",
	regexp.MustCompile(`could read along`):                                     "TLS is required",
	regexp.MustCompile(`[Gg]ive your word`):                                    "acknowledge",
	regexp.MustCompile(`orchestrator's own\b`):                                 "orchestrator overhead",
	regexp.MustCompile(`\b(it|that|this|which|what|%[sqv]) (is|was) no [a-z]`): "is not a",
	regexp.MustCompile(`\b(crowd|porch|doors|wall of)\b`):                      "limiter, queue, login, authorizer",
}

// stillNo is what may follow "is no".
var stillNo = regexp.MustCompile(`\b(is|was) no (longer|more|earlier|later|other|one)\b`)

// TestWordsOfMessages: texts for people have the standard terms.
func TestWordsOfMessages(t *testing.T) {
	t.Parallel()
	texts := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "bbr" || path == "test" || path != "." && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Error(err)
			}
			texts++
			for words, better := range retired {
				if found := words.FindString(text); found != "" && !stillNo.MatchString(text) {
					t.Errorf("%s: %q: say %q", files.Position(lit.Pos()), text, better)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || texts < 1000 {
		t.Errorf("%d texts: %v", texts, err)
	}
}
