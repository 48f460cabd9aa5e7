# shellcheck shell=dash
# A step needs nothing of what follows, so the shell is spared reading it.
if [ "$1" = step ]; then
	lks_prepare "$@"
	shift 6
	lks_step_main "$@"
	exit
fi
