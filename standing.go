package lockstep

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verification is one reading of a backup from end to end, after its commit.
type Verification struct {
	At time.Time `json:"at"`
	OK bool      `json:"ok"`
	// Problems name what is wrong, one sentence each.
	Problems  []string `json:"problems,omitempty"`
	Bytes     int64    `json:"bytes"`
	Artifacts int      `json:"artifacts"`
	// By is the program that read, and what for.
	By string `json:"by,omitempty"`
}

// Proof says how a manifest was judged: its signature, and whether this
// orchestrator's journal knows it.
type Proof struct {
	Signature SignatureState `json:"signature"`
	// Signer is the name and hash of the key, where one is named.
	Signer  string       `json:"signer,omitempty"`
	Journal JournalState `json:"journal"`
	// Wrong says what is wrong, if anything is: the backup was changed.
	Wrong string `json:"wrong,omitempty"`
}

// String is the judgement in a line.
func (p *Proof) String() string {
	signed := map[SignatureState]string{
		SignatureGood: "signed by " + p.Signer, SignatureNone: "not signed",
		SignatureUnknown: "signed by a key that is not trusted here", SignatureBad: "its signature is wrong",
	}[p.Signature]
	switch p.Journal {
	case JournalAgrees:
		return signed + "; it is the one that the journal knows"
	case JournalDiffers:
		return signed + "; it is not the one that the journal knows"
	}
	return signed + "; the journal does not know it"
}

// SignatureState is what became of checking a manifest's signature.
type SignatureState string

// The states of a signature. SignatureUnknown is one by a key that is not
// among those that are trusted here: it proves nothing.
const (
	SignatureGood    SignatureState = "good"
	SignatureNone    SignatureState = "none"
	SignatureUnknown SignatureState = "unknown key"
	SignatureBad     SignatureState = "bad"
)

// JournalState is what the journal says of a manifest.
type JournalState string

// JournalAgrees: the journal wrote down the same artifacts when they were
// proven. JournalSilent: it does not know the backup, which another orchestrator
// made, or which it has forgotten.
const (
	JournalAgrees  JournalState = "agrees"
	JournalSilent  JournalState = "does not know it"
	JournalDiffers JournalState = "differs"
)

// Skipped is a backup that is newer than the one that was chosen, and why it
// was not chosen.
type Skipped struct {
	Backup BackupID  `json:"backup"`
	Data   DataState `json:"data"`
	Why    string    `json:"why"`
}

// Manifest is the backup as it is committed: without what became known later.
func (b Backup) Manifest() Backup {
	b.Verified, b.Proof, b.Skipped = nil, nil, nil
	return b
}

// Stand judges what is known of the backup now: it sets Data to DataDamaged
// where its last verify found damage or its manifest was changed. Calling it
// again changes nothing.
func (b *Backup) Stand() {
	switch {
	case b.Proof != nil && b.Proof.Wrong != "":
		b.damaged(b.Proof.Wrong)
	case b.Verified != nil && !b.Verified.OK:
		for _, p := range b.Verified.Problems {
			b.damaged(fmt.Sprintf("verify of %s: %s", b.Verified.At.UTC().Format(time.RFC3339), p))
		}
		b.Become(DataDamaged)
	}
}

// Become says that the data is worth something else than the manifest says.
func (b *Backup) Become(d DataState) {
	if b.Recorded == "" && b.Data != d {
		b.Recorded = b.Data
	}
	b.Data = d
}

func (b *Backup) damaged(why string) {
	b.Become(DataDamaged)
	if !slices.Contains(b.Reasons, why) {
		b.Reasons = append(slices.Clip(b.Reasons), why)
	}
}

// Ours reports whether this program made the backup, as far as can be read.
func (b *Backup) Ours() bool {
	return b.Data != DataUnproven && (b.Data != DataDamaged || b.Run != "")
}

// WhyNot says, in one line, why the backup is not one that is restored without
// being named; "" for one that is.
func (b *Backup) WhyNot() string {
	var parts []string
	switch b.Data {
	case DataVerified:
		return ""
	case DataSuspect:
		parts = b.Suspect
	default:
		for _, s := range b.Missing {
			parts = append(parts, "missing "+s.String())
		}
		parts = append(parts, b.Reasons...)
	}
	switch len(parts) {
	case 0:
		return "it does not say why"
	case 1, 2, 3:
		return strings.Join(parts, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(parts[:3], "; "), len(parts)-3)
}

// Statement is what a signature of the backup vouches for, as lines of text: all
// that says what the data is, whose, and what it is worth. It is the same
// whatever program writes it; a field that is added to Backup is not in it.
func (b *Backup) Statement() string {
	var s strings.Builder
	line := func(name string, values ...any) {
		s.WriteString(name)
		for _, v := range values {
			fmt.Fprintf(&s, " %s", stated(v))
		}
		s.WriteByte('\n')
	}
	line("lockstep backup 1")
	line("id", b.ID)
	line("deployment", b.Deployment, b.Key)
	line("run", b.Run, b.PlanDigest)
	line("time", b.StartedAt, b.FinishedAt, b.ConsistentAt)
	line("data", cmp.Or(b.Recorded, b.Data))
	for _, a := range b.Artifacts {
		line("artifact", a.Name, a.Slot.Group, a.Slot.Index, a.Slot.Job, a.Custom, a.Bytes, a.Entries, a.Digest)
	}
	for _, m := range b.Missing {
		line("missing", m.Group, m.Index, m.Job)
	}
	for _, why := range b.Suspect {
		line("suspect", why)
	}
	return s.String()
}

// stated is a value as one word of a statement.
func stated(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case bool, int, int64:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%+q", fmt.Sprint(v))
}

// StatementDigest is the SHA-256 of Statement, as "sha256:<hex>".
func (b *Backup) StatementDigest() string {
	sum := sha256.Sum256([]byte(b.Statement()))
	return "sha256:" + hex.EncodeToString(sum[:])
}
