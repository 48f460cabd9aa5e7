package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lockstep"
	"lockstep/internal/heap"
	"lockstep/repository"
	"lockstep/repository/restic"
	"lockstep/repository/restic/store/file"
)

// repositories is our repository in restic's format against stock restic, which
// writes the same format from the same bytes onto the same disk.
func repositories(b *bench) error {
	if _, err := exec.LookPath("restic"); err != nil {
		b.rows = append(b.rows, row{Case: "repository", Note: "SKIPPED: there is no restic: apt-get install restic"})
		return nil
	}
	k, err := newKept(b)
	if err != nil {
		return err
	}
	return firstOf(k.data("random", 2, 0), k.data("text", 1.5, 1.08), k.second(), k.four(), k.many())
}

// kept is a folder with files, and with repositories that are made anew.
type kept struct {
	*bench
	dir, password string
	peak          int64 // of our process, in KiB
}

func newKept(b *bench) (*kept, error) {
	k := &kept{bench: b, dir: filepath.Join(b.dir, "repository")}
	k.password = filepath.Join(k.dir, "password")
	return k, firstOf(os.MkdirAll(k.dir, 0o755), os.WriteFile(k.password, []byte("bench"), 0o600))
}

// at is a repository, or a file, of that name.
func (k *kept) at(name string) string { return filepath.Join(k.dir, name) }

// restic runs stock restic.
func (k *kept) restic(repo, stdin string, args ...string) error {
	cmd := exec.Command("restic", append([]string{"--quiet", "--no-cache", "--repo", k.at(repo), "--password-file", k.password}, args...)...)
	cmd.Stderr = os.Stderr
	return withInput(cmd, stdin)
}

// ours runs this program again as one that puts files into our repository, or reads
// them back: its memory and time are its own.
func (k *kept) ours(args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{"keep", k.password}, args...)...)
	cmd.Stderr = os.Stderr
	err = cmd.Run()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		k.peak = max(k.peak, u.Maxrss)
	}
	return err
}

func withInput(cmd *exec.Cmd, path string) error {
	if path != "" {
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	return cmd.Run()
}

// again makes an empty repository in place of what is there.
func (k *kept) again(repos ...string) error {
	for _, repo := range repos {
		if err := firstOf(os.RemoveAll(k.at(repo)), k.restic(repo, "", "init")); err != nil {
			return err
		}
	}
	return nil
}

// size is what a repository takes.
func (k *kept) size(repo string) (float64, error) {
	var n int64
	err := filepath.WalkDir(k.at(repo), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return float64(n), err
}

// data is one large artifact into an empty repository, and read back.
func (k *kept) data(what string, faster, larger float64) error {
	if err := tarOf(k.at(what), k.big, what, 0); err != nil {
		return err
	}
	defer os.Remove(k.at(what))
	title := fmt.Sprintf("%s of %s into a repository", mib(k.big), what)
	put := row{Case: title + ": rate / restic backup", Unit: "MiB/s", Limit: faster, Kind: rateAtLeast}
	cpu := row{Case: title + ": CPU / restic backup", Unit: "s", Kind: ratioAtMost, Limit: 0.5}
	if what == "text" {
		cpu.Limit = 0
	}
	size := row{Case: title + ": size / restic's", Unit: "MiB", Limit: larger, Kind: ratioAtMost}
	back := row{Case: title + ": reading back / restic check --read-data", Unit: "MiB/s", Limit: 2, Kind: rateAtLeast}
	for i := range k.turns {
		if err := k.again("stock", "ours"); err != nil {
			return err
		}
		if err := k.turn(&put, i, k.rate(func() error { return k.restic("stock", k.at(what), "backup", "--stdin", "--stdin-filename", "a.tar") }),
			k.rate(func() error { return k.ours("put", k.at("ours"), "b", k.at(what)) })); err != nil {
			return err
		}
		mine, err1 := k.size("ours")
		theirs, err2 := k.size("stock")
		if err := firstOf(err1, err2); err != nil {
			return err
		}
		size.Ours, size.Reference = append(size.Ours, mine/(1<<20)), append(size.Reference, theirs/(1<<20))
		if err := k.turn(&back, i, k.rate(func() error { return k.restic("ours", "", "check", "--read-data") }),
			k.rate(func() error { return k.ours("read", k.at("ours"), "b", k.at(what)) })); err != nil {
			return err
		}
	}
	cpu.Ours, cpu.Reference = put.OurCPU, put.ReferenceCPU
	k.rows = append(k.rows, put, cpu, size, back, k.memory(title))
	return nil
}

func (k *kept) memory(title string) row {
	defer func() { k.peak = 0 }()
	return row{Case: title + ": memory", Unit: "MiB", Ours: []float64{float64(k.peak) / 1024}, Limit: 256, Kind: valueAtMost}
}

// second is a second backup of what is nearly, or just, the same.
func (k *kept) second() error {
	title := mib(k.big) + " a second time"
	changed := row{Case: title + ", 1% changed in runs: stored", Unit: "%", Limit: 4, Kind: valueAtMost}
	same := row{Case: title + ", unchanged: stored", Unit: "%", Limit: 0.1, Kind: valueAtMost}
	if err := firstOf(k.again("ours"), tarOf(k.at("first"), k.big, "random", 0), tarOf(k.at("second"), k.big, "random", 0.01)); err != nil {
		return err
	}
	defer os.Remove(k.at("first"))
	defer os.Remove(k.at("second"))
	if err := k.ours("put", k.at("ours"), "b1", k.at("first")); err != nil {
		return err
	}
	for _, r := range []struct {
		row  *row
		id   string
		data string
	}{{&same, "b2", "first"}, {&changed, "b3", "second"}} {
		before, err1 := k.size("ours")
		err2 := k.ours("put", k.at("ours"), r.id, k.at(r.data))
		after, err3 := k.size("ours")
		if err := firstOf(err1, err2, err3); err != nil {
			return err
		}
		r.row.Ours = append(r.row.Ours, 100*(after-before)/float64(k.big))
	}
	k.rows = append(k.rows, changed, same)
	return nil
}

// four is four artifacts at once against one of the same size.
func (k *kept) four() error {
	r := row{Case: fmt.Sprintf("4 artifacts of %s at once / one of %s", mib(k.big/4), mib(k.big)), Unit: "s", Limit: 1, Kind: ratioAtMost}
	var quarters []string
	for i := range 4 {
		quarters = append(quarters, k.at(fmt.Sprint("quarter", i)))
		if err := tarOf(quarters[i], k.big/4, "random", float64(i)); err != nil {
			return err
		}
		defer os.Remove(quarters[i])
	}
	if err := tarOf(k.at("whole"), k.big, "random", 7); err != nil {
		return err
	}
	defer os.Remove(k.at("whole"))
	for i := range k.turns {
		if err := k.again("one", "four"); err != nil {
			return err
		}
		if err := k.turn(&r, i, timed(func() error { return k.ours("put", k.at("one"), "b", k.at("whole")) }),
			timed(func() error { return k.ours(append([]string{"put", k.at("four"), "b"}, quarters...)...) })); err != nil {
			return err
		}
	}
	k.rows = append(k.rows, r, k.memory("4 artifacts at once"))
	return nil
}

// many is an artifact of very many small files in one folder.
func (k *kept) many() error {
	files := 999_999 // and their folder: a million entries is what a backup may have
	if k.turns == 1 {
		files = 100_000
	}
	if err := firstOf(k.again("ours"), tarOfFiles(k.at("many"), files)); err != nil {
		return err
	}
	defer os.Remove(k.at("many"))
	title := fmt.Sprintf("%d files in one folder", files)
	took, err := seconds(func() error { return k.ours("put", k.at("ours"), "b", k.at("many")) })
	if err != nil {
		return err
	}
	k.rows = append(k.rows, row{Case: title + ": into a repository", Unit: "s", Ours: []float64{took}, Kind: valueOnly}, k.memory(title))
	return nil
}

// rate is timed, in MiB of the large artifact a second.
func (k *kept) rate(f func() error) func() (float64, error) {
	return func() (float64, error) {
		took, err := seconds(f)
		return float64(k.big>>20) / took, err
	}
}

func timed(f func() error) func() (float64, error) {
	return func() (float64, error) { return seconds(f) }
}

// textWords are what text is made of.
var textWords = strings.Fields("INSERT INTO orders VALUES the quick brown fox id customer amount total 2026 NULL pending paid shipped 'Berlin' 'Tokyo' note")

// tarOf writes a tar of one file of that many bytes. With a variant below 1 that part
// of them is another one, in four runs; each variant from 1 on is another file.
func tarOf(path string, size int64, what string, variant float64) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = firstOf(w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}),
		w.WriteHeader(&tar.Header{Name: "./blob", Typeflag: tar.TypeReg, Mode: 0o644, Size: size}))
	const run = 64 << 10
	for at := int64(0); err == nil && at < size; at += run {
		seed := [32]byte{byte(at >> 16), byte(at >> 24), byte(at >> 32), byte(len(what))}
		if quarter := float64(size) / 4; variant >= 1 || math.Mod(float64(at), quarter) < variant*quarter {
			seed[31] = byte(1 + variant)
		}
		_, err = w.Write(piece(what, seed)[:min(run, size-at)])
	}
	return firstOf(err, w.Close(), out.Sync(), out.Close())
}

func piece(what string, seed [32]byte) []byte {
	from := rand.NewChaCha8(seed)
	b := make([]byte, 64<<10)
	if what != "text" {
		_, _ = from.Read(b)
		return b
	}
	var text strings.Builder
	for text.Len() < len(b) {
		n := from.Uint64()
		fmt.Fprintf(&text, "%s %d ", textWords[n%uint64(len(textWords))], n%10007)
	}
	return []byte(text.String())
}

func tarOfFiles(path string, files int) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755})
	for i := 0; err == nil && i < files; i++ {
		text := fmt.Sprintln("file", i)
		err = w.WriteHeader(&tar.Header{Name: fmt.Sprintf("./%07d", i), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
	}
	return firstOf(err, w.Close(), out.Sync(), out.Close())
}

// keepMain is this program as one that keeps or reads a backup, in a process of its
// own: keep PASSWORD-FILE put|read REPOSITORY ID TAR…
func keepMain(args []string) error {
	if len(args) < 5 {
		return errors.New("keep: PASSWORD-FILE put|read REPOSITORY ID TAR… are wanted")
	}
	heap.Bound() // as the product does
	s, err := file.At(args[2])
	if err != nil {
		return err
	}
	repo := restic.New(restic.Options{Store: s, Password: func(context.Context) (string, error) {
		text, err := os.ReadFile(args[0])
		return string(text), err
	}})
	ctx, id := context.Background(), lockstep.BackupID(args[3])
	if args[1] == "read" {
		return readAgain(ctx, repo, id)
	}
	return keepAll(ctx, repo, id, args[4:])
}

func keepAll(ctx context.Context, repo repository.Repository, id lockstep.BackupID, tars []string) error {
	id, err := repo.Begin(ctx, id)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	m := lockstep.Backup{V: 1, ID: id, Deployment: "bench", Key: "bench", Run: "r", StartedAt: now, FinishedAt: now, Data: lockstep.DataVerified}
	m.Artifacts = make([]lockstep.Artifact, len(tars))
	err = together(len(tars), len(tars), func(i int) error {
		in, err := os.Open(tars[i])
		if err != nil {
			return err
		}
		defer in.Close()
		name := fmt.Sprint("a", i)
		c, err := repo.Put(ctx, id, name, in)
		m.Artifacts[i] = lockstep.Artifact{Name: name, Bytes: c.Bytes, Entries: c.Entries, Digest: c.Digest, Slot: lockstep.Slot{Group: "g", Index: fmt.Sprint(i), Job: "j"}}
		return err
	})
	return firstOf(err, repo.Commit(ctx, m))
}

func readAgain(ctx context.Context, repo repository.Repository, id lockstep.BackupID) error {
	b, err := repo.Get(ctx, id)
	if err != nil {
		return err
	}
	for _, a := range b.Artifacts {
		if _, err := repository.Verify(ctx, repo, id, a, nil); err != nil {
			return err
		}
	}
	return nil
}
