package bbr

import (
	"fmt"
	"strings"
)

// row is a line of a help text with two columns.
type row struct{ left, right string }

func columns(b *strings.Builder, rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r.left))
	}
	for _, r := range rows {
		fmt.Fprintf(b, "   %-*s  %s\n", width, r.left, r.right)
	}
}

// appHelp is the help of the program.
func appHelp(version string) string {
	var b strings.Builder
	b.WriteString("NAME:\n   bbr - BOSH Backup and Restore\n\n")
	b.WriteString("USAGE:\n   bbr command [command options] [subcommand] [subcommand options]\n")
	b.WriteString("SUBCOMMANDS:\n   backup\n   backup-cleanup\n   restore\n   restore-cleanup\n   pre-backup-check\n\n")
	fmt.Fprintf(&b, "VERSION:\n   %s\n\nCOMMANDS:\n", version)
	var rows []row
	for _, m := range modes() {
		rows = append(rows, row{m.name, m.help})
	}
	columns(&b, append(rows,
		row{"help, h", "Shows a list of commands or help for one command"},
		row{"version, v", "Shows the version"}))
	return b.String()
}

// helpText is the help of a command.
func (m mode) helpText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "NAME:\n   bbr %s - %s\n\n", m.name, m.help)
	fmt.Fprintf(&b, "USAGE:\n   bbr %s [command options] subcommand [subcommand options]\n\nSUBCOMMANDS:\n", m.name)
	var rows []row
	for _, s := range m.subs {
		rows = append(rows, row{strings.Join(s.names, ", "), s.help})
	}
	columns(&b, rows)
	b.WriteString("\nOPTIONS:\n")
	writeOptions(&b, m.options)
	return b.String()
}

// helpText is the help of a subcommand.
func (s subcommand) helpText(m mode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "NAME:\n   bbr %s %s - %s\n\n", m.name, s.names[0], s.help)
	fmt.Fprintf(&b, "USAGE:\n   bbr %s [command options] %s", m.name, s.names[0])
	if len(s.options) > 0 {
		b.WriteString(" [subcommand options]\n\nOPTIONS:\n")
		writeOptions(&b, s.options)
	} else {
		b.WriteString("\n")
	}
	return b.String()
}

func writeOptions(b *strings.Builder, options []option) {
	var rows []row
	for _, o := range options {
		left, right := o.usageText()
		rows = append(rows, row{left, right})
	}
	columns(b, append(rows, row{"--help, -h", "show help"}))
}
