// Package bbr is the command line of BOSH Backup and Restore over
// lockstep.Service: a drop-in, with the original's commands, flags, lines, files
// and exit codes, on the same engine, journal and launcher as lockstep.
//
// Words of this package. A mode is `deployment` or `director`. An access is how
// the director, or the machine that it runs on, is reached. The narrator turns
// the events of a run into the log lines of the original. A fault is something
// that went wrong, in the original's words; its class decides whether the advice
// to clean up is due. The dialogue is what Ctrl-C opens.
package bbr
