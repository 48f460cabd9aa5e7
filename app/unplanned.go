package app

import (
	"errors"

	"lockstep/source"
)

// unplanned puts what is wrong with instances before the reason why no plan was made: one
// that the source could not look at may be where the missing scripts are. What is wrong
// with several of them is told once.
func unplanned(err error, instances []source.Instance) error {
	var errs []error
	told := map[string]bool{}
	for _, in := range instances {
		if in.Unfit != nil && !told[in.Unfit.Error()] {
			told[in.Unfit.Error()] = true
			errs = append(errs, in.Unfit)
		}
	}
	return errors.Join(append(errs, err)...)
}
