# shellcheck shell=dash
# What became of a step, waiting for it, settling it and ending it.

# lks_read_record: what the files of D say by itself. Sets R (none, tomb, run or
# end) and what belongs to it. A record that was cut short counts as its start.
lks_read_record() {
	lks_R=none lks_R_PID='' lks_R_TICKS='' lks_R_BOOT='' lks_R_UP=- lks_R_BY=- lks_R_CG=- lks_R_RC=- lks_R_SIG=- lks_R_END=-
	[ ! -f "$lks_D.record" ] || {
		read -r lks_R lks_R_PID lks_R_TICKS lks_R_BOOT lks_R_UP lks_R_BY lks_R_CG || lks_R=none
		if [ "$lks_R" = run ]; then
			read -r lks_w lks_R_RC lks_R_SIG lks_R_END lks_dot || lks_w=
			[ "$lks_w$lks_dot" != end. ] || lks_R=end
		fi
	} <"$lks_D.record"
	case $lks_R in
	run | end | tomb) ;;
	*)
		lks_R=none lks_R_PID=''
		[ ! -e "$lks_D.never" ] || lks_R=tomb
		;;
	esac
}

# lks_look RUN STEP ATTEMPT: sets ST, the words of a status frame:
#   running|ended|dead|never|absent CODE SIGNAL-or-REASON START END BY
lks_look() {
	lks_names "$1" "$2" "$3"
	if [ ! -e "$lks_D.lock" ]; then
		lks_ST='absent - - - - -'
		! lks_rebooted "$1" || lks_ST='dead - reboot - - -'
		return 0
	fi
	lks_read_record
	case $lks_R in
	end) lks_ST="ended $lks_R_RC $lks_R_SIG $lks_R_UP $lks_R_END $lks_R_BY" ;;
	tomb)
		lks_ST="never - ${lks_R_PID:-settled} - - -"
		[ "$lks_R_PID" != reboot ] || lks_ST='dead - reboot - - -'
		;;
	none) lks_look_undecided "$@" ;;
	run) lks_look_running ;;
	esac
}

# lks_look_running: the record says that the script began and not that it ended.
lks_look_running() {
	lks_ST="running - - $lks_R_UP - $lks_R_BY"
	if [ "$lks_R_BOOT" != "$lks_BOOT" ]; then
		lks_ST="dead - reboot $lks_R_UP - $lks_R_BY"
	elif ! lks_held; then
		# The end may have been written since.
		lks_read_record
		if [ "$lks_R" = end ]; then
			lks_ST="ended $lks_R_RC $lks_R_SIG $lks_R_UP $lks_R_END $lks_R_BY"
		elif ! lks_strays; then
			lks_ST="dead - lost $lks_R_UP - $lks_R_BY"
		fi
	fi
}

# lks_look_undecided RUN STEP ATTEMPT: somebody made D.lock, and nothing is decided.
# That one has the lock in a moment and decides then, or has died. Meanwhile the run
# may be released, and all of it gone.
lks_look_undecided() {
	lks_ST='running - - - - -' lks_turns=0
	while [ -z "$lks_hasty" ] && [ "$lks_R" = none ] && [ -e "$lks_D.lock" ] && ! lks_held; do
		lks_turns=$((lks_turns + 1))
		if [ "$lks_turns" -ge 50 ]; then
			lks_bury "$1"
		else
			sleep 0.1
		fi
		lks_read_record
		[ "$lks_turns" -lt 60 ] || return 0
	done
	[ "$lks_R" = none ] && [ -e "$lks_D.lock" ] || lks_look "$@"
}

# lks_held: is the lock of D held, that is: is its supervisor there, or output open?
lks_held() {
	[ -f "$lks_D.lock" ] || return 1
	! flock -s -n "$lks_D.lock" true
}

# lks_strays: sets PIDS to all processes of the step: those that carry its mark,
# those in its control group, and those of its script's session.
lks_strays() {
	lks_marked
	lks_grouped
	lks_session
	[ -n "$lks_PIDS" ]
}

# lks_marked: sets PIDS to what carries the mark of D.
lks_marked() {
	set +f
	lks_PIDS=$(grep -lzxF -- "LOCKSTEP_STEP=$lks_D" /proc/[0-9]*/environ 2>/dev/null |
		while read -r lks_W; do
			lks_W=${lks_W#/proc/}
			echo "${lks_W%/environ}"
		done)
	set -f
	[ -n "$lks_PIDS" ]
}

# lks_grouped: adds to PIDS what is in the step's control group.
lks_grouped() {
	[ -d "$lks_R_CG" ] || return 0
	while read -r lks_W; do
		[ "$lks_W" = 0 ] || lks_PIDS="$lks_PIDS $lks_W"
	done 2>/dev/null <"$lks_R_CG/cgroup.procs"
}

# lks_session: adds to PIDS what is left of the script's session. Its number is
# that of the script's process, which may be another's by now: then none is left.
lks_session() {
	[ -n "$lks_R_PID" ] || return 0
	if { read -r lks_s <"/proc/$lks_R_PID/stat"; } 2>/dev/null; then
		lks_ticks "$lks_s"
		[ "$lks_TICKS" = "$lks_R_TICKS" ] || return 0
	fi
	set +f
	for lks_W in /proc/[0-9]*/stat; do
		{ read -r lks_s <"$lks_W"; } 2>/dev/null || continue
		lks_p=${lks_s%% *}
		lks_s=${lks_s##*) }
		case $lks_s in
		Z*) ;;
		*) lks_s=${lks_s#* } lks_s=${lks_s#* } lks_s=${lks_s#* } && [ "${lks_s%% *}" != "$lks_R_PID" ] || lks_PIDS="$lks_PIDS $lks_p" ;;
		esac
	done
	set -f
}

# lks_status ID RUN STEP ATTEMPT
lks_status() {
	lks_look "$2" "$3" "$4"
	# shellcheck disable=SC2086
	lks_say "$1" ok $lks_ST
}

# lks_wait_step ID RUN STEP ATTEMPT OUTOFFSET ERROFFSET: sends output as it comes,
# then the final status. Wakes at the end by the lock, without polling.
lks_wait_step() {
	exec 3<&- # it needs nothing of the run folder but the run's own
	lks_id=$1 lks_out=$5 lks_err=$6
	lks_names "$2" "$3" "$4"
	while :; do
		lks_held=0
		if [ -f "$lks_D.lock" ]; then
			{ flock -s -w 1 9 || lks_held=1; } 9<"$lks_D.lock"
		fi
		lks_over=1
		lks_is_over "$2" "$3" "$4" || lks_over=0
		lks_pour out "$lks_out" && lks_out=$lks_NEXT
		lks_pour err "$lks_err" && lks_err=$lks_NEXT
		[ "$lks_over" = 0 ] || break
		# Perhaps nobody listens any more.
		[ -d "$lks_SESS" ] && kill -0 "$$" 2>/dev/null && [ ! -e "$lks_SESS/c-$lks_id" ] || return 0
	done
	# shellcheck disable=SC2086
	lks_say "$lks_id" ok $lks_ST
}

# lks_is_over RUN STEP ATTEMPT: is ST the final status? A daemon may keep the
# output, and so the lock, after the script's end: that is over too.
lks_is_over() {
	if [ "$lks_held" = 1 ]; then
		lks_read_record
		[ "$lks_R" = end ] || return 1
	fi
	lks_look "$1" "$2" "$3"
	case $lks_ST in running*) ;; *) return 0 ;; esac
	sleep 0.1 # strays of a lost supervisor
	return 1
}

# lks_pour KIND OFFSET: sends what the keeper has beyond OFFSET; NEXT is the new one.
lks_pour() {
	lks_NEXT=$2
	[ -s "$lks_D.$1.0" ] || [ -e "$lks_D.$1.dropped" ] || return 1
	set +f
	lks_sizes=$(stat -c '%n %s' "$lks_D.$1".[0-9]* 2>/dev/null | sed "s|^.*\.$1\.||" | sort -n)
	set -f
	lks_kind=$1
	# shellcheck disable=SC2086
	set -- $lks_sizes
	while [ $# -ge 2 ]; do
		if [ "$lks_NEXT" -lt "$1" ]; then
			lks_NEXT=$1
			[ "$2" != 0 ] || lks_say "$lks_id" "$lks_kind" "$lks_NEXT" # where what was dropped ends
		fi
		# The keeper may remove a file under us; without "command", exec would then
		# end this shell, and nobody would ever answer.
		if [ $(($1 + $2)) -gt "$lks_NEXT" ] && { command exec 4<"$lks_D.$lks_kind.$1"; } 2>/dev/null; then
			lks_n=$(($1 + $2 - lks_NEXT))
			lks_take
			printf '%s %s %s %s\n' "$lks_id" "$lks_kind" "$lks_n" "$lks_NEXT" >&5
			dd bs=65536 iflag=skip_bytes,count_bytes skip=$((lks_NEXT - $1)) count="$lks_n" <&4 >&5 2>/dev/null
			lks_give
			exec 4<&-
			lks_NEXT=$((lks_NEXT + lks_n))
		fi
		shift 2
	done
}

# lks_entomb REASON: takes the lock of D if it is free and writes the tombstone
# unless it is decided. Whoever had the lock first has decided. (It waits
# because those who only look hold the lock too, for a moment.)
lks_entomb() {
	{ command exec 9>>"$lks_D.lock"; } 2>/dev/null || return 0
	if flock -w 1 9 && [ /proc/self/fd/9 -ef "$lks_D.lock" ] && ! lks_decided; then
		lks_tomb "$1"
	fi
	exec 9>&-
}

# lks_bury RUN: entombs D. Where the run is of an earlier boot, nobody knows whether it
# ran: what says so may not have reached the disk.
lks_bury() {
	if lks_rebooted "$1"; then
		lks_entomb reboot
	else
		lks_entomb settled
	fi
}

# lks_settle ID RUN STEP ATTEMPT TERM OWNRUN
lks_settle() {
	lks_names "$2" "$3" "$4"
	if ! lks_owns "$6" "$5"; then
		lks_fenced "$1"
		return
	fi
	if lks_create; then
		lks_bury "$2"
	elif [ -e "$lks_D.lock" ]; then
		lks_decided || lks_bury "$2"
	elif [ -d "$lks_RUN/r-$2" ]; then
		lks_fail "$1" error "cannot note in $lks_RUN that step '$3' will not be started: there is no room"
		return
	fi
	lks_look "$2" "$3" "$4"
	# shellcheck disable=SC2086
	lks_say "$1" ok $lks_ST
}

# lks_kill_step GRACE: ends the step D, unless its exit is recorded:
# what an ended script has started (services, say) is meant to stay.
lks_kill_step() {
	lks_seconds "$1"
	lks_read_record
	# A script that is just being started has left no record yet.
	lks_tries=0
	while [ "$lks_R" = none ] && [ "$lks_tries" -lt 200 ] && lks_held; do
		lks_tries=$((lks_tries + 1))
		sleep 0.02
		lks_read_record
	done
	# Whoever is about to run it looks for this when its record is there.
	[ "$lks_R" != none ] || true >"$lks_D.never"
	lks_read_record
	[ "$lks_R" = run ] && [ "$lks_R_BOOT" = "$lks_BOOT" ] || return 0
	lks_signal TERM || return 0
	flock -s -w "$lks_SEC" "$lks_D.lock" true
	# From here on the step counts as killed: nothing of it stays.
	lks_tries=0
	while lks_strays; do
		# shellcheck disable=SC2086
		kill -KILL $lks_PIDS 2>/dev/null
		lks_tries=$((lks_tries + 1))
		[ "$lks_tries" -lt 20 ] || break
		sleep 0.05
	done
	flock -s -w 5 "$lks_D.lock" true
}

# lks_signal NAME: to all of the step, but only if it has not ended meanwhile.
lks_signal() {
	lks_strays
	lks_read_record
	[ "$lks_R" = run ] || return 1
	# shellcheck disable=SC2086
	kill "-$1" $lks_PIDS 2>/dev/null
	# shellcheck disable=SC2086
	kill -CONT $lks_PIDS 2>/dev/null
	return 0
}

# lks_kill_verb ID RUN STEP ATTEMPT TERM OWNRUN GRACE
lks_kill_verb() {
	if ! lks_owns "$6" "$5"; then
		lks_fenced "$1"
		return
	fi
	lks_names "$2" "$3" "$4"
	[ ! -e "$lks_D.lock" ] || lks_kill_step "$7"
	lks_status "$1" "$2" "$3" "$4"
}
