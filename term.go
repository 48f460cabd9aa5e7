package lockstep

import "fmt"

// MaxTerm is the highest term that there is. Every shell counts with numbers of
// that many digits, and adds to them.
const MaxTerm uint64 = 999_999_999_999_999_999

// maxTermLead is by how much a term that an instance has seen may be ahead of
// the one that it is asked to take: more than runs are ever begun, and so little
// that no instance can bring the others to MaxTerm.
const maxTermLead = 1_000_000_000

// CheckTerm checks a term that an instance says it has seen, when it was asked to
// take another. The next term is one higher than the highest that any instance
// has seen: one that answers nonsense must fail alone, and not spoil it for all.
func CheckTerm(seen, asked uint64) error {
	if seen < MaxTerm && seen <= asked+maxTermLead {
		return nil
	}
	return &Error{
		Kind: KindRefused, Op: "claim instance",
		Err:  fmt.Errorf("it says that it has seen term %d, when asked to take term %d: its record of the claim is damaged, or it does not tell the truth", seen, asked),
		Hint: "look at the instance; if nothing runs and nothing is locked there, remove the file `claim` in its state folder (/var/lib/lockstep)",
	}
}
