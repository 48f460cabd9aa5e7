package bbr

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sections are those of the contract that say how bbr behaves.
const sections = "1_1 1_2 1_3 1_4 1_5 1_6 1_7 1_8 1_9 2_1 2_2 2_3 2_4 2_5 2_6 3_1 3_2 3_3 3_4 3_5 3_6 3_7 " +
	"4_1 4_2 4_3 4_4 5 6_1 6_2 6_3 6_4 6_5 6_6 7_5"

var contractTest = regexp.MustCompile(`(?m)^func TestContract_(\d(?:_\d)?)_[A-Z]`)

// Every section has a test that is found by its number.
func TestEverySectionOfTheContractHasATest(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "../source/bosh/*_test.go", "../test/bbr/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range contractTest.FindAllSubmatch(text, -1) {
				found[string(m[1])] = true
			}
		}
	}
	for _, s := range strings.Fields(sections) {
		if !found[s] {
			t.Errorf("no test is named TestContract_%s_…", s)
		}
	}
}
