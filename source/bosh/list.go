package bosh

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep/source"
)

// List asks the director for the machines again: a deploy in the middle of a
// run makes, moves and removes them.
func (s *Source) List(ctx context.Context) ([]source.Listing, error) {
	d, letGo, err := s.connection.use()
	if err != nil {
		return nil, err
	}
	defer func() { _ = letGo() }()
	vms, err := d.VMs(ctx, s.options.Deployment)
	if err != nil {
		return nil, err
	}
	return listed(vms), nil
}

// listed are machines as a list has them.
func listed(vms []VM) []source.Listing {
	list := make([]source.Listing, len(vms))
	for i, vm := range vms {
		ips := slices.Sorted(slices.Values(vm.IPs))
		list[i] = source.Listing{
			Group: vm.Group, ID: vm.ID, Index: fmt.Sprint(vm.Index), Address: strings.Join(ips, ","), Machine: vm.Machine,
		}
	}
	return list
}
