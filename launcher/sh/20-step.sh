# shellcheck shell=dash
# A step: one script, run once. Its files are all called D.something. Making
# D.lock decides who runs it; the lock on that file is held by the supervisor
# and by the keepers of the output, so a free lock means that everything has
# ended and all output is kept.
#
# This file is on the path of every script, so it counts its processes: a
# built-in command costs nothing, a program about a millisecond.

# lks_create: makes D.lock; fails if it is there.
lks_create() {
	set -C
	{ true >"$lks_D.lock"; } 2>/dev/null
	lks_created_=$?
	set +C
	return "$lks_created_"
}

# lks_decided: is it decided whether D runs? WORD says how: run or tomb. It is
# decided under the lock, by the record; or by D.never, which whoever runs it
# looks for last: that needs no room, and no lock.
lks_decided() {
	lks_word=''
	[ ! -f "$lks_D.record" ] || read -r lks_word lks__ <"$lks_D.record"
	case $lks_word in run | tomb) return 0 ;; esac
	lks_word=tomb
	[ -e "$lks_D.never" ]
}

# lks_tomb REASON: decides that D never runs. A full file system takes the name
# of a file when it takes nothing else.
lks_tomb() {
	{ printf 'tomb %s\n' "$1" 1<>"$lks_D.record"; } 2>/dev/null || true >"$lks_D.never"
}

# lks_enter: takes the lock of D. Who has it while nothing is decided decides;
# mostly it is who made the file. Fails if somebody else has decided, or has it.
lks_enter() {
	lks_tries=0
	while [ "$lks_tries" -lt 20 ]; do
		lks_tries=$((lks_tries + 1))
		lks_create || ! lks_decided || return 1
		{ command exec 9>>"$lks_D.lock"; } 2>/dev/null && flock -w 2 9 || return 1
		# It may have been taken back while we waited.
		if [ /proc/self/fd/9 -ef "$lks_D.lock" ]; then
			! lks_decided
			return
		fi
	done
	return 1
}

# lks_reserve: makes the record, with room for all that will stand in it: what
# is run without one is unlocked again and again. An unlock takes a spare one
# where no other can be made.
lks_reserve() {
	! { printf '%-400s\n' new >"$lks_D.record"; } 2>/dev/null || return 0
	lks_is_unlock "$lks_run" "$lks_step" || return 1
	set +f
	for lks_W in "$lks_RUN/r-$lks_run"/spare-*; do
		set -f
		! mv -f "$lks_W" "$lks_D.record" 2>/dev/null || return 0
	done
	set -f
	return 1
}

# lks_step_main ID RUN STEP ATTEMPT TERM BY PATH DIGEST [NAME=VALUE...]
lks_step_main() {
	lks_id=$1 lks_run=$2 lks_step=$3 lks_att=$4 lks_term=$5 lks_by=$6 lks_path=$7 lks_digest=$8
	shift 8
	lks_names "$lks_run" "$lks_step" "$lks_att"
	# Nothing that a displaced driver asks for may have any effect. A claim changes
	# first and looks for steps then; so it is asked again when the step is known.
	if ! lks_owns "$lks_run" "$lks_term"; then
		lks_fenced_step "$lks_id"
		return
	fi
	[ -d "$lks_RUN/r-$lks_run" ] || lks_come_back "$lks_run" "$lks_term" "$lks_step"
	lks_again=0
	until lks_enter; do
		! lks_existing "$lks_id" || return
		lks_again=$((lks_again + 1))
		[ "$lks_again" = 20 ] || continue
		# Nobody takes it back so often: no lock can be made.
		if ! lks_spend_spare; then
			lks_no_room
			return
		fi
		lks_again=0
	done
	if ! lks_owns "$lks_run" "$lks_term"; then
		lks_refuse
		lks_fenced_step "$lks_id"
		return
	fi
	if { [ -e "$lks_RUN/r-$lks_run/fired" ] || lks_rebooted "$lks_run"; } && ! lks_is_unlock "$lks_run" "$lks_step"; then
		lks_refuse
		lks_fail "$lks_id" fired "the lease has fired, or the instance has been restarted: only unlock steps may start"
		return
	fi
	if ! lks_reserve; then
		lks_refuse
		lks_no_room
		return
	fi
	lks_dec "$lks_path"
	lks_path=$lks_W
	case $lks_path in /*) ;; *) lks_path=$PWD/$lks_path ;; esac
	if [ "$lks_digest" != - ]; then
		lks_sum=$(sha256sum <"$lks_path" 2>/dev/null)
		lks_sum=${lks_sum%% *}
		if [ "$lks_sum" != "$lks_digest" ]; then
			lks_tomb "digest:${lks_sum:-unreadable}"
			lks_say "$lks_id" ok settled
			return
		fi
	fi
	lks_say "$lks_id" ok started
	# From here on nothing of the control session is held open.
	exec 3>&- 5>&- 6>&- >/dev/null 2>&1
	lks_supervise "$@"
}

# lks_spend_spare: a file system without a name for a file more has one for an unlock.
lks_spend_spare() {
	lks_is_unlock "$lks_run" "$lks_step" || return 1
	set +f
	for lks_W in "$lks_RUN/r-$lks_run"/spare-*; do
		set -f
		[ -e "$lks_W" ] && rm -f "$lks_W" 2>/dev/null
		return
	done
}

# lks_no_room: the answer to a start that cannot be noted.
lks_no_room() {
	lks_fail "$lks_id" error "no room in $lks_RUN to note the step: it was not started"
}

# lks_fenced_step ID: the answer to a start that is not the owner's.
lks_fenced_step() {
	lks_fail "$1" fenced "the instance is claimed by run '$lks_C_RUN' term $lks_C_TERM, not by run '$lks_run' term $lks_term"
}

# lks_come_back RUN TERM STEP: a reboot took the run's folder away, not its claim.
# What it locked must be unlocked all the same; nothing else of it may start
# here, for nobody knows what had been started before.
lks_come_back() {
	[ ! -d "$lks_RUN/r-$1" ] && lks_is_unlock "$1" "$3" && lks_owns "$1" "$2" &&
		mkdir -p "$lks_RUN/r-$1" && : >"$lks_RUN/r-$1/fired"
}

# lks_existing ID: the step was there already. Whoever made it, to run or to settle
# it, may not have decided yet; that is a matter of milliseconds. Fails, without
# an answer, if that one has taken it back.
lks_existing() {
	if [ ! -d "$lks_RUN/r-$lks_run" ]; then
		lks_fail "$1" fenced "run '$lks_run' has nothing on this instance: it holds no claim"
		return 0
	fi
	lks_tries=0
	until lks_decided || [ "$lks_tries" -ge 40 ]; do
		[ -e "$lks_D.lock" ] || return 1
		sleep 0.05
		lks_tries=$((lks_tries + 1))
	done
	if lks_decided && [ "$lks_word" = tomb ]; then
		lks_say "$1" ok settled
	else
		lks_say "$1" ok existed
	fi
}

# lks_refuse: takes the step back; nothing was run.
lks_refuse() {
	rm -f "$lks_D.record" "$lks_D.lock"
}

# lks_supervise [NAME=VALUE...]: descriptors 3 and 4 become the script's output.
# The record is written in place: its room is there.
lks_supervise() {
	exec 7<>"$lks_D.record"
	lks_notes=$lks_D.notes
	{ true >"$lks_notes"; } 2>/dev/null || lks_notes=/dev/null # no name is left for it
	{
		{
			lks_run_and_record "$@" 4>&1 >/dev/null 2>"$lks_notes" |
				lks_keep err 3>&- 7>&- 2>/dev/null
		} 3>&1 | lks_keep out 7>&- 2>/dev/null
	}
}

# lks_run_and_record: the script runs in the foreground, so that INT and QUIT are
# not ignored in it, as they would be after "&".
lks_run_and_record() {
	(lks_launch "$@") >&3 2>&4 </dev/null
	lks_rc=$?
	lks_sig=-
	# Most shells remark on a command that a signal ended, and an exit 137 is silent;
	# yash and ksh count on from numbers that no exit has.
	if [ "$lks_rc" -gt 255 ] || { [ "$lks_rc" -gt 128 ] && [ -s "$lks_D.notes" ]; }; then
		lks_sig=$((lks_rc % 128))
		lks_rc=$((lks_sig + 128))
	fi
	lks_now
	printf 'end %s %s %s .\n' "$lks_rc" "$lks_sig" "$lks_UP" >&7
}

# lks_launch: records who will run, then becomes the script in a session of its own.
lks_launch() {
	lks_whoami_
	lks_now
	lks_confine
	printf 'run %s %s %s %s %s %s\n' "$lks_PID" "$lks_TICKS" "$lks_BOOT" "$lks_UP" "$lks_by" "$lks_CG" >&7 || exit 126
	# Whoever called it off did so before it was decided, or sees the record now.
	if [ -e "$lks_D.never" ]; then
		printf 'tomb settled\n' 1<>"$lks_D.record"
		exit 126
	fi
	exec 3>&- 4>&- 7>&- 9>&-
	cd / || exit 126
	unset PWD OLDPWD SHLVL # a shell's own, of no meaning to the script
	lks_restore_caller
	for lks_W in "$@"; do
		shift
		lks_dec "$lks_W"
		set -- "$@" "$lks_W"
	done
	# Where sudo made this shell root, the script is what it was asked to run.
	[ -z "${SUDO_COMMAND+set}" ] || set -- "SUDO_COMMAND=$lks_path" "$@"
	lks_become "LOCKSTEP_STEP=$lks_D" "$@" -- "$lks_path"
}

# lks_become NAME=VALUE... -- PATH: like env, without a process. Uses no variable,
# for any name may be exported.
lks_become() {
	while [ "$1" != -- ]; do
		export "${1?}"
		shift
	done
	exec setsid "$2"
}

# lks_confine: goes into a control group of the step's own, where one can be made:
# nothing that the script starts can leave that by itself. CG is its folder, or -.
lks_confine() {
	lks_CG=-
	{ read -r lks_W <"$lks_RUN/r-$lks_run/cgroup"; } 2>/dev/null || return 0
	lks_place "$lks_W" || return 0
	{ echo 0 >"$lks_W/cgroup.procs"; } 2>/dev/null && lks_CG=$lks_W
}

# lks_place GROUP: sets W to a control group in it that is the step's alone. Who makes
# the file has the place of that number; there are as many as most runs have steps.
lks_place() {
	for lks_n in 1 2 3 4 5 6; do
		[ ! -e "$lks_RUN/r-$lks_run/place-$lks_n" ] && [ -d "$1/$lks_n" ] || continue
		set -C
		{ true >"$lks_RUN/r-$lks_run/place-$lks_n"; } 2>/dev/null
		lks_created_=$?
		set +C
		lks_W=$1/$lks_n
		[ "$lks_created_" != 0 ] || return 0
	done
	lks_W=$1/${lks_D##*/}
	mkdir "$lks_W" 2>/dev/null
}

# lks_whoami_: sets PID and TICKS (start time) of this very process; $$ would be
# the parent's.
lks_whoami_() {
	read -r lks_W </proc/self/stat
	lks_PID=${lks_W%% *}
	lks_ticks "$lks_W"
}

# lks_keep NAME: keeps standard input in the files D.NAME.OFFSET, live: the first
# 256 KiB and the last MiB, while there is room. The rest is read and dropped, so
# that the script neither blocks nor fills the disk.
lks_keep() {
	lks_kind=$1 lks_off=0 lks_tail=0 lks_count=64
	set --
	while [ "$lks_off" = 0 ] || lks_roomy; do
		dd bs=1024 count="$lks_count" of="$lks_D.$lks_kind.$lks_off" 2>"$lks_D.$lks_kind-n" || break
		lks_rec='' lks_n=0
		while read -r lks_a lks_b lks_c; do
			case $lks_b-$lks_c in
			records-in) lks_rec=$lks_a ;;
			byte*-*) lks_n=$lks_a ;;
			esac
		done <"$lks_D.$lks_kind-n"
		# Nothing is known of it where that could not be written.
		[ -n "$lks_rec" ] || break
		# Fewer reads than asked for: that was the end.
		[ $((${lks_rec%+*} + ${lks_rec#*+})) -eq "$lks_count" ] || return 0
		[ "$lks_off" -lt 262144 ] || {
			lks_tail=$((lks_tail + lks_n))
			set -- "$@" "$lks_off:$lks_n"
		}
		while [ "$lks_tail" -gt 1048576 ]; do
			rm -f "$lks_D.$lks_kind.${1%:*}"
			lks_tail=$((lks_tail - ${1#*:}))
			shift
		done
		lks_off=$((lks_off + lks_n))
		lks_count=$((lks_count == 64 ? 192 : 256))
	done
	lks_drop
}

# lks_roomy: may more output be kept? A quarter of the file system, or 64 MiB, is
# left to records, and to whoever else needs it.
lks_roomy() {
	# shellcheck disable=SC2046
	set -- $(stat -f -c '%a %b %S' "$lks_RUN")
	[ $# = 3 ] || return 1
	lks_W=$(($2 / 4 * $3))
	[ "$lks_W" -lt 67108864 ] || lks_W=67108864
	[ $(($1 * $3 - 262144)) -ge "$lks_W" ]
}

# lks_drop: reads what is not kept. The name of an empty file tells where it ends.
lks_drop() {
	[ ! -e "$lks_D.$lks_kind.$lks_off" ] || lks_off=$((lks_off + $(stat -c %s "$lks_D.$lks_kind.$lks_off")))
	lks_n=$(wc -c)
	[ "$lks_n" = 0 ] || true >"$lks_D.$lks_kind.$((lks_off + lks_n))" >"$lks_D.$lks_kind.dropped"
}
