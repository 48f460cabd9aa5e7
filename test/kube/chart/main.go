// Chart renders packaging/chart as Helm does, with Helm's own library: chart CHART RELEASE
// NAMESPACE VALUES… prints the objects. It is a module of its own, because of all that
// Helm brings along.
package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// release is one of the chart.
type release struct{ chart, name, namespace string }

// render gives the texts of a release's templates, by their files' names. Values that the
// chart's schema does not take are an error.
func (r release) render(values map[string]any) (map[string]string, error) {
	chart, err := loader.LoadDir(r.chart)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: r.name, Namespace: r.namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(chart, all)
	texts := map[string]string{}
	for name, text := range rendered {
		if strings.TrimSpace(text) != "" {
			texts[path.Base(name)] = text
		}
	}
	return texts, err
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: chart CHART RELEASE NAMESPACE VALUES…")
	}
	values := map[string]any{}
	for _, file := range args[3:] {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		more, err := loader.LoadValues(bytes.NewReader(data))
		if err != nil {
			return err
		}
		values = loader.MergeMaps(values, more)
	}
	texts, err := release{args[0], args[1], args[2]}.render(values)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if strings.HasSuffix(name, ".yaml") {
			fmt.Printf("---\n%s\n", texts[name])
		}
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
