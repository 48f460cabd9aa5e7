package main

import (
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// longLink is one artifact over a link with a round trip of 50 ms.
func longLink(b *bench) error {
	f, err := b.fleet("link", 1, true)
	if err != nil {
		return err
	}
	in := f.instances[0]
	if err := furnish(in.root, f.here, b.long); err != nil {
		return err
	}
	var addr string
	if err := b.helper(&addr, "delay", "-to", in.addr, "-rtt", "50ms"); err != nil {
		return err
	}
	f.known = filepath.Join(f.dir, "known_hosts_far")
	if err := writeKnown(f.known, b.keys.hostPublic, addr); err != nil {
		return err
	}
	d, err := f.deploy(addr)
	if err != nil {
		return err
	}
	title := "50 ms link, " + mib(b.long)
	r := row{Case: title + ": rate of the whole backup / ssh tar", Unit: "MiB/s", Kind: ratioForInfo}
	collect := row{Case: title + ": rate of the collect / ssh tar", Unit: "MiB/s", Limit: 3, Kind: rateAtLeast}
	rest := row{Case: title + ": a whole backup without its collect", Unit: "s", Kind: valueOnly, Note: "its round trips, whatever the artifact's size"}
	size := float64(b.long >> 20)
	for i := range b.turns {
		if err := b.turn(&r, i, func() (float64, error) {
			out := filepath.Join(f.dir, "fetched")
			defer os.Remove(out)
			took, err := seconds(func() error {
				return intoFile(sshTo(b.keys, f.known, addr, "tar -C "+filepath.Join(f.here, "data")+" -c ."), out)
			})
			return size / took, err
		}, func() (float64, error) {
			if err := d.forget(); err != nil {
				return 0, err
			}
			took, rep, err := d.backup()
			collect.Ours = append(collect.Ours, size/rep.collect())
			rest.Ours = append(rest.Ours, took-rep.collect())
			return size / took, err
		}); err != nil {
			return err
		}
	}
	collect.Reference = r.Reference
	b.rows = append(b.rows, collect, r, rest, d.memory(title, 100))
	return nil
}

// delayMain is a helper that forwards connections and delays what goes
// through, half the round trip each way, without limiting the rate.
func delayMain(args []string) error {
	flags := flag.NewFlagSet("delay", flag.ContinueOnError)
	to := flags.String("to", "", "where connections go")
	rtt := flags.Duration("rtt", 50*time.Millisecond, "round trip")
	rate := flags.Int("rate", 0, "`bytes` a second each way; 0: any")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", *to)
			if err != nil {
				near.Close()
				continue
			}
			go late(far, near, *rtt/2, *rate)
			go late(near, far, *rtt/2, *rate)
		}
	}()
	return say(l.Addr().String())
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// narrow is the link of the case: 100 Mbit/s.
const narrow = 100_000_000 / 8

// narrowLink is one artifact of text over such a link.
func narrowLink(b *bench) error {
	f, err := b.fleet("narrow", 1, true)
	if err != nil {
		return err
	}
	in, size := f.instances[0], b.long
	if err := furnish(in.root, f.here, 0); err != nil {
		return err
	}
	if err := textFile(filepath.Join(in.root, "data", "blob"), size); err != nil {
		return err
	}
	var addr string
	if err := b.helper(&addr, "delay", "-to", in.addr, "-rtt", "2ms", "-rate", strconv.Itoa(narrow)); err != nil {
		return err
	}
	f.known = filepath.Join(f.dir, "known_hosts_far")
	if err := writeKnown(f.known, b.keys.hostPublic, addr); err != nil {
		return err
	}
	d, err := f.deploy(addr)
	if err != nil {
		return err
	}
	r := row{Case: "100 Mbit/s, " + mib(size) + " of text: a whole backup / ssh tar", Unit: "s", Limit: 0.4, Kind: ratioAtMost}
	for i := range b.turns {
		if err := b.turn(&r, i, func() (float64, error) {
			out := filepath.Join(f.dir, "fetched")
			defer os.Remove(out)
			return seconds(func() error {
				return intoFile(sshTo(b.keys, f.known, addr, "tar -C "+filepath.Join(f.here, "data")+" -c ."), out)
			})
		}, func() (float64, error) {
			if err := d.forget(); err != nil {
				return 0, err
			}
			took, _, err := d.backup()
			return took, err
		}); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r)
	return nil
}

// textFile is a file of text, on the medium.
func textFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for at := int64(0); err == nil && at < size; at += 64 << 10 {
		_, err = f.Write(piece("text", [32]byte{byte(at >> 16), byte(at >> 24), byte(at >> 32)})[:min(64<<10, size-at)])
	}
	return firstOf(err, f.Sync(), f.Close())
}

// inFlight bounds what is on the way in one direction: more than any link of
// the cases needs (500 MiB/s for 25 ms are 12.5 MiB).
const (
	parcel   = 64 << 10
	inFlight = 1024
)

var parcels = sync.Pool{New: func() any { return new([parcel]byte) }}

// late copies what comes from src to dst, each byte so much later, and no faster than
// rate where that is not 0.
func late(dst, src net.Conn, by time.Duration, rate int) {
	type sent struct {
		data *[parcel]byte
		n    int
		due  time.Time
	}
	depth := inFlight
	if rate > 0 {
		depth = 1 // what is on the way would not slow down whoever sends
	}
	way := make(chan sent, depth)
	go func() {
		defer close(way)
		for {
			data := parcels.Get().(*[parcel]byte)
			n, err := src.Read(data[:])
			if n > 0 {
				way <- sent{data, n, time.Now().Add(by)}
			}
			if err != nil {
				return
			}
		}
	}()
	failed := false
	free := time.Now() // when the link can take more
	for s := range way {
		if rate > 0 {
			free = later(free, time.Now().Add(-10*time.Millisecond)).Add(time.Duration(s.n) * time.Second / time.Duration(rate))
			s.due = later(s.due, free)
		}
		if wait := time.Until(s.due); wait > 0 {
			time.Sleep(wait)
		}
		if !failed {
			_, err := dst.Write(s.data[:s.n])
			failed = err != nil
		}
		parcels.Put(s.data)
	}
	if tcp, ok := dst.(interface{ CloseWrite() error }); ok && !failed {
		_ = tcp.CloseWrite()
		return
	}
	_, _ = dst.Close(), io.EOF
	_ = src.Close()
}
