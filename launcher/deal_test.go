package launcher

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lockstep/target"
)

// deal gives the blocks of data in turn to seats, as the launcher does.
func deal(data []byte, seats int) [][]byte {
	hands := make([][]byte, seats)
	for turn := 0; ; turn = (turn + 1) % seats {
		n := min(block, len(data))
		hands[turn] = append(hands[turn], data[:n]...)
		if data = data[n:]; n < block {
			return hands
		}
	}
}

// play has each seat write its hand, in pieces of any size, and leave.
func play(t *table, hands [][]byte, random *rand.Rand) []error {
	errs := make([]error, len(hands))
	var wg sync.WaitGroup
	for i, hand := range hands {
		sizes := rand.New(rand.NewPCG(random.Uint64(), 0))
		wg.Go(func() {
			for len(hand) > 0 {
				n := min(len(hand), 1+sizes.IntN(3<<19))
				if _, errs[i] = (seat{t, i}).Write(hand[:n]); errs[i] != nil {
					return
				}
				hand = hand[n:]
			}
			errs[i] = t.leave(i)
		})
	}
	wg.Wait()
	return errs
}

func TestTable(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	for _, seats := range []int{1, 2, 3, channels} {
		for _, size := range []int{0, 1, block - 1, block, block + 1, 3 * block, seats * block, seats*block + 1, 2*seats*block - 1} {
			data := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
			var got bytes.Buffer
			errs := play(newTable(seats, &got), deal(data, seats), random)
			if err := errors.Join(errs...); err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%d bytes over %d channels: %d came, or others: %v", size, seats, got.Len(), err)
			}
		}
	}
}

// TestTableRefusesMoreThanWasDealt: a channel that was cut short is not the end
// of the stream when another goes on.
func TestTableRefusesMoreThanWasDealt(t *testing.T) {
	t.Parallel()
	for _, short := range []int{0, 2} { // the last five bytes are channel 1's
		hands := deal(make([]byte, 7*block+5), 3)
		hands[short] = hands[short][:len(hands[short])-100]
		errs := play(newTable(3, io.Discard), hands, rand.New(rand.NewPCG(1, 1)))
		if err := errors.Join(errs...); !errors.Is(err, errFrame) {
			t.Errorf("channel %d was cut short: %v", short, err)
		}
	}
}

// TestTableFails: an error of the writer, or from outside, ends everybody's
// waiting, and nothing is written after it.
func TestTableFails(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	hands := deal(make([]byte, 20*block), 4)
	room := 3*block + 77
	table := newTable(4, writerFunc(func(p []byte) (int, error) {
		if room -= len(p); room < 0 {
			return 0, full
		}
		return len(p), nil
	}))
	for i, err := range play(table, hands, rand.New(rand.NewPCG(2, 2))) {
		if !errors.Is(err, full) {
			t.Errorf("channel %d: %v", i, err)
		}
	}
	table = newTable(2, io.Discard)
	blocked := make(chan error)
	go func() {
		_, err := seat{table, 1}.Write([]byte("x"))
		blocked <- err
	}()
	table.fail(full)
	if err := <-blocked; !errors.Is(err, full) {
		t.Errorf("who waited: %v", err)
	}
}

// cutTarget ends the output of one command, after some bytes, as a lost
// connection does.
type cutTarget struct {
	target.Target
	of    string // a word of the command
	after int
}

var errCut = errors.New("cut")

func (c cutTarget) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if strings.Contains(command, c.of) {
		left, out := c.after, streams.Stdout
		streams.Stdout = writerFunc(func(p []byte) (int, error) {
			if left -= len(p); left < 0 {
				return 0, errors.Join(target.ErrLost, errCut)
			}
			return out.Write(p)
		})
	}
	return c.Target.Run(ctx, command, streams)
}

// TestManyChannelsCut: one channel that is lost in the middle ends the whole
// transfer, with its error, and leaves nobody waiting.
func TestManyChannelsCut(t *testing.T) {
	i := newInstance(t, "sh")
	dir := filepath.Join(i.dir, "d")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "f"), make([]byte, 30*block), 0o600)); err != nil {
		t.Fatal(err)
	}
	word, err := encodeWord(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{"'deal'", "deal-reader"} {
		i.Client.target = cutTarget{i.target, of, block + 12345}
		if err := i.dealOut(i.ctx(), io.Discard, "deal", word); !errors.Is(err, errCut) || !errors.Is(err, target.ErrLost) {
			t.Errorf("%s is cut: %v", of, err)
		}
	}
	i.Client.target = i.target
	if err := i.dealOut(i.ctx(), io.Discard, "deal", word); err != nil {
		t.Errorf("after that: %v", err)
	}
}
