package bbr

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
)

// option is one flag of a command. Names begins with the long one.
type option struct {
	names []string
	env   []string // read where the flag is not given; the first that is set counts
	help  string
	flag  bool // takes no value
}

func (o option) name() string { return o.names[0] }

// values are what the options of one command were given.
type values struct {
	text  map[string]string
	truth map[string]bool
	help  bool
	rest  []string
}

// parse reads options up to the first word that is none. -x and --x are the
// same. Flags win over environment variables.
func parse(options []option, args []string, getenv func(string) (string, bool)) (values, error) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	v := values{text: map[string]string{}, truth: map[string]bool{}}
	set.BoolVar(&v.help, "help", false, "")
	set.BoolVar(&v.help, "h", false, "")
	texts, truths := map[string]*string{}, map[string]*bool{}
	for _, o := range options {
		if o.flag {
			truths[o.name()] = new(bool)
		} else {
			texts[o.name()] = new(fromEnv(o, getenv))
		}
		for _, n := range o.names {
			if o.flag {
				set.BoolVar(truths[o.name()], n, false, "")
			} else {
				set.StringVar(texts[o.name()], n, *texts[o.name()], "")
			}
		}
	}
	err := set.Parse(args)
	for n, p := range texts {
		v.text[n] = *p
	}
	for n, p := range truths {
		v.truth[n] = *p
	}
	v.rest = set.Args()
	return v, err
}

func fromEnv(o option, getenv func(string) (string, bool)) string {
	for _, name := range o.env {
		if s, ok := getenv(name); ok {
			return s
		}
	}
	return ""
}

// flagsFirst puts the flags of a subcommand before its other words, which mean
// nothing, as the original's parser does: its flags may come after them. What
// follows a -- is left alone.
func flagsFirst(options []option, args []string) []string {
	var first, rest []string
	value := false // the word before may take this one as its value
	for i, arg := range args {
		is := isFlag(options, arg)
		switch {
		case arg == "--":
			return append(append(first, rest...), args[i:]...)
		case is:
			first, value = append(first, arg), !strings.Contains(arg, "=")
		case value:
			first, value = append(first, arg), false
		default:
			rest = append(rest, arg)
		}
	}
	return append(first, rest...)
}

// isFlag reports whether a word is a flag that is known.
func isFlag(options []option, word string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	return strings.HasPrefix(word, "-") && name != "" &&
		slices.ContainsFunc(options, func(o option) bool { return slices.Contains(o.names, name) })
}

// asksForHelp reports whether a help flag is among words that are still to be
// parsed.
func asksForHelp(words []string) bool {
	return slices.Contains(words, "--help") || slices.Contains(words, "-h")
}

// parseTop reads the flags before the command, of which there are two.
func parseTop(args []string) (version bool, rest []string, err error) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	set.BoolVar(&version, "version", false, "")
	set.BoolVar(&version, "v", false, "")
	err = set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		err = flag.ErrHelp
	}
	return version, set.Args(), err
}

// usageText is an option as help shows it.
func (o option) usageText() (left, right string) {
	var names []string
	for _, n := range o.names {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		if o.flag {
			names = append(names, dashes+n)
		} else {
			names = append(names, dashes+n+" value")
		}
	}
	right = o.help
	if len(o.env) > 0 {
		right += " [$" + strings.Join(o.env, ", $") + "]"
	}
	return strings.Join(names, ", "), right
}
