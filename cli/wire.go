package cli

import (
	"lockstep/demo"
	"lockstep/serve"
)

// Wire is the real Setup.
func Wire() Setup {
	return Setup{Open: serve.Open, Connect: serve.Connect, Serve: serve.Run, Work: serve.Work, FleetStatus: serve.FleetStatus, Manage: serve.Manage, Moved: serve.Moved, Move: serve.Move, Demo: demo.Run}
}
