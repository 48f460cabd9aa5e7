package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// killersFile says which test caught each mutant when `-learn` was run last. It
// only saves time: where that test lets the mutant live, all of its tests run.
const killersFile = "test/mutants/killers.json"

//go:embed killers.json
var killersText []byte

// killers are by a mutant's name.
var killers = func() map[string]killer {
	list := map[string]killer{}
	if err := json.Unmarshal(killersText, &list); err != nil {
		panic(fmt.Sprintf("%s: %v", killersFile, err))
	}
	return list
}()

// killer is one test.
type killer struct {
	Package string `json:"package"` // as in ./engine
	Test    string `json:"test"`
}

var (
	failedTest    = regexp.MustCompile(`(?m)^--- FAIL: (Test\w+) `)
	failedPackage = regexp.MustCompile(`(?m)^FAIL\tlockstep(/\S+)?\t`)
)

// killerIn is the first test that failed, in the output of `go test`; zero where
// it needs flags of its own, or is a fuzz target or an example.
func killerIn(out string) killer {
	test, pkg := failedTest.FindStringSubmatch(out), failedPackage.FindStringSubmatch(out)
	if test == nil || pkg == nil || test[1] == "TestSimulation" {
		return killer{}
	}
	return killer{Package: "." + pkg[1], Test: test[1]}
}

// keepKillers writes the file anew, with what stood there of mutants that were not
// chosen.
func keepKillers(chosen []mutant, verdicts []verdict) error {
	list := map[string]killer{}
	if err := json.Unmarshal(killersText, &list); err != nil {
		return fmt.Errorf("read %s: %w", killersFile, err)
	}
	for i, m := range chosen {
		if _, known := killers[m.Name]; known {
			continue
		}
		delete(list, m.Name)
		// With fewer cuts than a mutant asks for, its test would mostly look in vain.
		if verdicts[i].caught && verdicts[i].by != (killer{}) && !strings.Contains(m.Test, "-cuts") {
			list[m.Name] = verdicts[i].by
		}
	}
	text, err := json.MarshalIndent(list, "", "\t")
	if err != nil {
		return fmt.Errorf("encode %s: %w", killersFile, err)
	}
	return os.WriteFile(killersFile, append(text, '\n'), 0o644)
}
