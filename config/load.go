package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"lockstep"
)

// maxSize bounds a configuration file, in bytes.
const maxSize = 1 << 20

// Load reads the configuration file at path; where path is "" it is looked for
// as Find says. env is os.Getenv, or what stands for it in a test. Errors are
// *lockstep.Error; one of a wrong file wraps Problems. Load may be called at
// any time, concurrently, and leaves nothing behind.
func Load(path string, env func(string) string) (*Config, error) {
	path, err := Find(path, env)
	if err != nil {
		return nil, err
	}
	data, err := readFile(path)
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read configuration " + path, Err: err,
			Hint: "name another file with --config, or make one: lockstep config generate > lockstep.yaml",
		}
	}
	return Parse(path, data, env)
}

// Parse reads a configuration that is already in memory. path stands in error
// texts, and its folder is what relative paths are relative to.
func Parse(path string, data []byte, env func(string) string) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", path, err)
	}
	d := &decoder{file: path, dir: filepath.Dir(abs), env: env}
	var file fileConfig
	if root := d.document(data); root != nil {
		file.read(d, root, crumb{})
	}
	cfg := file.build(d)
	if problems := d.sorted(); len(problems) > 0 {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read configuration", Err: problems,
			Hint: "lockstep config validate looks again; lockstep config generate shows every key in a file to start from",
		}
	}
	cfg.Path = abs
	return cfg, nil
}

// Find is the configuration file that is used: path itself if it is not "",
// else $LOCKSTEP_CONFIG, else the first that exists of ./lockstep.yaml,
// $XDG_CONFIG_HOME/lockstep/config.yaml (~/.config where that is not set) and
// /etc/lockstep/config.yaml. Without any the error is of KindNotFound.
func Find(path string, env func(string) string) (string, error) {
	if path != "" {
		return path, nil
	}
	if path = env("LOCKSTEP_CONFIG"); path != "" {
		return path, nil
	}
	places := []string{"lockstep.yaml"}
	if dir := underHome(env, "XDG_CONFIG_HOME", ".config"); dir != "" {
		places = append(places, filepath.Join(dir, "lockstep", "config.yaml"))
	}
	places = append(places, "/etc/lockstep/config.yaml")
	looked := ""
	for _, place := range places {
		if _, err := os.Stat(place); !errors.Is(err, fs.ErrNotExist) {
			return place, nil // one that cannot be read is not passed over
		}
		looked += "\n  " + place
	}
	return "", &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: "find the configuration",
		Err:  errors.New("there is none at" + looked),
		Hint: "name one with --config, or make one: lockstep config generate > lockstep.yaml",
	}
}

// underHome is the folder that an XDG variable names, or its default below the
// home folder, or "" where neither is known.
func underHome(env func(string) string, variable string, elements ...string) string {
	// The XDG specification has relative values ignored.
	if dir := env(variable); filepath.IsAbs(dir) {
		return dir
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(append([]string{home}, elements...)...)
	}
	return ""
}

// readFile reads a file of a bounded size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// document parses data into the root of its only document, or notes why not.
func (d *decoder) document(data []byte) *yaml.Node {
	if len(data) > maxSize {
		d.problem(position{1, 1}, "the file is larger than 1 MiB")
		return nil
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := reader.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		d.problem(position{1, 1}, "the file is empty; lockstep config generate prints one to start from")
		return nil
	}
	if err == nil {
		if err = reader.Decode(&more); errors.Is(err, io.EOF) {
			return doc.Content[0]
		}
		if err == nil {
			d.problem(positionOf(&more), "a second YAML document begins here; write one only, without ---")
			return nil
		}
	}
	d.syntax(data, err)
	return nil
}

// syntax notes an error of the YAML parser, which knows the line only.
func (d *decoder) syntax(data []byte, err error) {
	at := position{1, 1}
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	if m != nil {
		text = text[len(m[0]):]
		if line, err := strconv.Atoi(m[1]); err == nil && line > 0 {
			at.line = line
		}
	}
	if lines := bytes.Split(data, []byte("\n")); at.line <= len(lines) {
		line := lines[at.line-1]
		at.column = len(line) - len(bytes.TrimLeft(line, " \t")) + 1
	}
	if strings.Contains(text, "cannot start any token") {
		text += " (YAML is indented with spaces, never with tabs)"
	}
	d.problem(at, "this is not YAML: %s", text)
}
