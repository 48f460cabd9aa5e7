package launcher

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"lockstep/target"
)

// WorthPacking is the size in bytes up to which a folder is better read by Pack
// than by Inventory and TarOut side by side: starting a session costs an
// instance more than digesting that much.
const WorthPacking = 1 << 20

// Pack is Inventory and TarOut in one session, of which all has ended when it
// returns. A helper reads the folder once for both, and so do without one only small
// folders well: size is about how many bytes will come. Errors are those of either;
// after one, what was written is worthless.
func (c *Client) Pack(ctx context.Context, dir string, size int64, each func(Item), w io.Writer) error {
	word, err := c.streamDir(dir)
	if err == nil {
		err = c.pack(ctx, word, size, each, w)
	}
	if err != nil {
		return fmt.Errorf("read folder %q: %w", dir, err)
	}
	return nil
}

func (c *Client) pack(ctx context.Context, word string, size int64, each func(Item), w io.Writer) error {
	if done, err := c.helped(ctx, each, w, func(o *helperOutput, digest string) error {
		return c.readOut(ctx, size, o, "lent-pack", "lent-deal", digest, word)
	}); done {
		return err
	}
	pr, pw := io.Pipe()
	parsed := make(chan error, 1)
	go func() {
		err := unpack(ctx, pr, each, w)
		_ = pr.CloseWithError(errors.Join(err, errInventory))
		parsed <- err
	}()
	err := c.stream(ctx, "pack", target.Streams{Stdout: pw}, word)
	_ = pw.Close()
	if perr := <-parsed; err == nil || errors.Is(err, ErrTouched) && perr != nil || !errors.Is(perr, io.ErrUnexpectedEOF) && perr != nil {
		err = perr // the stream only saw its output refused
	}
	return err
}

// unpack takes apart what the launcher's pack prints.
func unpack(ctx context.Context, r io.Reader, each func(Item), w io.Writer) error {
	br, giveBack := fieldReader(r)
	defer giveBack()
	g := gather(ctx)
	err := g.take(br)
	if err == nil {
		err = g.each(each)
	}
	g.close()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, br)
	return err
}

// sumEscapes are how sha256sum writes a name in a line that begins with a
// backslash.
var sumEscapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")

// parseSum reads "HEX  ./PATH".
func parseSum(line string) (path string, sum [32]byte, err error) {
	text, escaped := strings.CutPrefix(line, `\`)
	digits, path, ok := strings.Cut(text, "  ./")
	raw, bad := hex.DecodeString(digits)
	if !ok || bad != nil || len(raw) != len(sum) {
		return "", sum, fmt.Errorf("%w: digest %.120q", errInventory, line)
	}
	if escaped {
		path = sumEscapes.Replace(path)
	}
	copy(sum[:], raw)
	return path, sum, nil
}
