package ssh_test

import (
	"io"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"lockstep/target"
	"lockstep/target/ssh"
)

// BenchmarkExec is one `true` on a warm connection to OpenSSH.
func BenchmarkExec(b *testing.B) {
	tgt := open(b, startSSHD(b).config)
	mustRun(b, tgt, "true")
	for b.Loop() {
		mustRun(b, tgt, "true")
	}
}

// BenchmarkConnect is a dial, a handshake and one `true`.
func BenchmarkConnect(b *testing.B) {
	for _, kex := range []string{xssh.KeyExchangeMLKEM768X25519, xssh.KeyExchangeCurve25519} {
		b.Run(kex, func(b *testing.B) {
			c := startSSHD(b).config
			c.KeyExchanges = []string{kex}
			for b.Loop() {
				tgt, err := ssh.New(c)
				must(b, err)
				exit, err := tgt.Run(b.Context(), "true", target.Streams{})
				if !exit.OK() || err != nil {
					b.Skip(kex, ": ", err)
				}
				must(b, tgt.Close())
			}
		})
	}
}

const volume = 256 << 20

// BenchmarkOut is 256 MiB from OpenSSH to here.
func BenchmarkOut(b *testing.B) {
	tgt := open(b, startSSHD(b).config)
	b.SetBytes(volume)
	for b.Loop() {
		exit, err := tgt.Run(b.Context(), sprintf("head -c %d /dev/zero", volume), target.Streams{Stdout: io.Discard})
		if !exit.OK() || err != nil {
			b.Fatal(exit, err)
		}
	}
}

// BenchmarkIn is 256 MiB from here to OpenSSH.
func BenchmarkIn(b *testing.B) {
	tgt := open(b, startSSHD(b).config)
	b.SetBytes(volume)
	for b.Loop() {
		exit, err := tgt.Run(b.Context(), "cat >/dev/null", target.Streams{Stdin: io.LimitReader(endless{}, volume)})
		if !exit.OK() || err != nil {
			b.Fatal(exit, err)
		}
	}
}
