# shellcheck shell=dash
# What became of a step, waiting for it, settling it and ending it.

# read_record: what the files of D say by itself. Sets R (none, tomb, run or
# end) and what belongs to it. A record that was cut short counts as its start.
read_record() {
	R=none R_PID='' R_TICKS='' R_BOOT='' R_UP=- R_BY=- R_RC=- R_SIG=- R_END=-
	[ -f "$D.record" ] || return 0
	{
		read -r R R_PID R_TICKS R_BOOT R_UP R_BY || R=none
		if [ "$R" = run ]; then
			read -r w R_RC R_SIG R_END dot || w=
			[ "$w$dot" != end. ] || R=end
		fi
	} <"$D.record"
}

# look RUN STEP ATTEMPT: sets ST, the words of a status frame:
#   running|ended|dead|never|absent CODE SIGNAL-or-REASON START END BY
look() {
	names "$1" "$2" "$3"
	if [ ! -e "$D.lock" ]; then
		ST='absent - - - - -'
		! rebooted "$1" || ST='dead - reboot - - -'
		return 0
	fi
	read_record
	case $R in
	end) ST="ended $R_RC $R_SIG $R_UP $R_END $R_BY" ;;
	tomb) ST="never - ${R_PID:-settled} - - -" ;;
	none) ST='running - - - - -' ;;
	run) look_running ;;
	esac
}

# look_running: the record says that the script began and not that it ended.
look_running() {
	ST="running - - $R_UP - $R_BY"
	if [ "$R_BOOT" != "$BOOT" ]; then
		ST="dead - reboot $R_UP - $R_BY"
	elif ! held; then
		# The end may have been written since.
		read_record
		if [ "$R" = end ]; then
			ST="ended $R_RC $R_SIG $R_UP $R_END $R_BY"
		elif ! strays; then
			ST="dead - lost $R_UP - $R_BY"
		fi
	fi
}

# rebooted RUN: did that run claim this instance in an earlier boot?
rebooted() {
	[ -f "$STATE/r-$1/boot" ] || return 1
	read -r W <"$STATE/r-$1/boot"
	[ "$W" != "$BOOT" ]
}

# held: is the lock of D held, that is: is its supervisor there, or output open?
held() {
	[ -f "$D.lock" ] || return 1
	! flock -s -n "$D.lock" true
}

# strays: sets PIDS to all processes that carry the step's mark.
strays() {
	set +f
	PIDS=$(grep -lzxF -- "LOCKSTEP_STEP=$D" /proc/[0-9]*/environ 2>/dev/null |
		while read -r W; do
			W=${W#/proc/}
			echo "${W%/environ}"
		done)
	set -f
	[ -n "$PIDS" ]
}

# session: adds to PIDS what is left of the script's session.
session() {
	set +f
	for W in /proc/[0-9]*/stat; do
		{ read -r s <"$W"; } 2>/dev/null || continue
		p=${s%% *}
		s=${s##*) }
		case $s in
		Z*) ;;
		*) s=${s#* } s=${s#* } s=${s#* } && [ "${s%% *}" != "$R_PID" ] || PIDS="$PIDS $p" ;;
		esac
	done
	set -f
}

# status ID RUN STEP ATTEMPT
status() {
	look "$2" "$3" "$4"
	# shellcheck disable=SC2086
	say "$1" ok $ST
}

# wait_step ID RUN STEP ATTEMPT OUTOFFSET ERROFFSET: sends output as it comes,
# then the final status. Wakes at the end by the lock, without polling.
wait_step() {
	id=$1 out=$5 err=$6 empty=0
	names "$2" "$3" "$4"
	while :; do
		held=0
		if [ -f "$D.lock" ]; then
			{ flock -s -w 1 9 || held=1; } 9<"$D.lock"
		fi
		over=1
		is_over "$2" "$3" "$4" || over=0
		pour out "$out" && out=$NEXT
		pour err "$err" && err=$NEXT
		[ "$over" = 0 ] || break
		# Perhaps nobody listens any more.
		kill -0 "$$" 2>/dev/null && [ ! -e "$SESS/c-$id" ] || return 0
	done
	# shellcheck disable=SC2086
	say "$id" ok $ST
}

# is_over RUN STEP ATTEMPT: is ST the final status? A daemon may keep the
# output, and so the lock, after the script's end: that is over too.
is_over() {
	if [ "$held" = 1 ]; then
		read_record
		[ "$R" = end ] || return 1
	fi
	look "$1" "$2" "$3"
	case $ST in running*) ;; *) return 0 ;; esac
	# Between create and flock for a moment, or strays of a lost supervisor.
	sleep 0.1
	[ "$R" = none ] || return 1
	empty=$((empty + 1))
	[ "$empty" -lt 50 ] || entomb settled
	return 1
}

# pour KIND OFFSET: sends what the keeper has beyond OFFSET; NEXT is the new one.
pour() {
	NEXT=$2
	[ -s "$D.$1.0" ] || return 1
	set +f
	sizes=$(stat -c '%n %s' "$D.$1".[0-9]* 2>/dev/null | sed "s|^.*\.$1\.||" | sort -n)
	set -f
	kind=$1
	# shellcheck disable=SC2086
	set -- $sizes
	while [ $# -ge 2 ]; do
		[ "$NEXT" -ge "$1" ] || NEXT=$1
		# The keeper may remove a file under us; without "command", exec would then
		# end this shell, and nobody would ever answer.
		if [ $(($1 + $2)) -gt "$NEXT" ] && { command exec 4<"$D.$kind.$1"; } 2>/dev/null; then
			n=$(($1 + $2 - NEXT))
			take
			printf '%s %s %s %s\n' "$id" "$kind" "$n" "$NEXT" >&5
			dd bs=65536 iflag=skip_bytes,count_bytes skip=$((NEXT - $1)) count="$n" <&4 >&5 2>/dev/null
			give
			exec 4<&-
			NEXT=$((NEXT + n))
		fi
		shift 2
	done
}

# entomb REASON: takes the lock of D if it is free and writes the tombstone
# unless there is a record. Whoever had the lock first has decided. (It waits
# because those who only look hold the lock too, for a moment.)
entomb() {
	exec 9>>"$D.lock"
	if flock -w 1 9 && [ ! -e "$D.record" ]; then
		printf 'tomb %s\n' "$1" >"$D.record"
	fi
	exec 9>&-
}

# settle ID RUN STEP ATTEMPT TERM OWNRUN
settle() {
	names "$2" "$3" "$4"
	if ! owns "$6" "$5"; then
		fenced "$1"
		return
	fi
	if create; then
		if rebooted "$2"; then
			entomb reboot
		else
			entomb settled
		fi
	elif [ -e "$D.lock" ] && [ ! -e "$D.record" ]; then
		entomb settled
	fi
	look "$2" "$3" "$4"
	case $ST in
	'never - reboot'*) ST='dead - reboot - - -' ;;
	esac
	# shellcheck disable=SC2086
	say "$1" ok $ST
}

# kill_step GRACE: ends the step D, unless its exit is recorded:
# what an ended script has started (services, say) is meant to stay.
kill_step() {
	seconds "$1"
	read_record
	# A script that is just being started has left no record yet.
	tries=0
	while [ "$R" = none ] && [ "$tries" -lt 200 ] && held; do
		tries=$((tries + 1))
		sleep 0.02
		read_record
	done
	[ "$R" = run ] && [ "$R_BOOT" = "$BOOT" ] || return 0
	signal TERM || return 0
	flock -s -w "$SEC" "$D.lock" true
	# From here on the step counts as killed: nothing of it stays.
	tries=0
	while strays || { session && [ -n "$PIDS" ]; }; do
		# shellcheck disable=SC2086
		kill -KILL $PIDS 2>/dev/null
		tries=$((tries + 1))
		[ "$tries" -lt 20 ] || break
		sleep 0.05
	done
	flock -s -w 5 "$D.lock" true
}

# signal NAME: to all of the step, but only if it has not ended meanwhile.
signal() {
	strays
	session
	read_record
	[ "$R" = run ] || return 1
	# shellcheck disable=SC2086
	kill "-$1" $PIDS 2>/dev/null
	# shellcheck disable=SC2086
	kill -CONT $PIDS 2>/dev/null
	return 0
}

# kill_verb ID RUN STEP ATTEMPT TERM OWNRUN GRACE
kill_verb() {
	if ! owns "$6" "$5"; then
		fenced "$1"
		return
	fi
	names "$2" "$3" "$4"
	[ ! -e "$D.lock" ] || kill_step "$7"
	status "$1" "$2" "$3" "$4"
}
