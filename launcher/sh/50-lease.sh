# shellcheck shell=dash
# The lease: a timer of the instance's own that unlocks when nobody renews it.
# $RUN/r-RUN/lease holds "DEADLINE GAP GRACE" in hundredths of a second since
# boot; `fired` beside it says that the run has lost the right to lock and work.

# lease_state RUN: sets LEASE to off, armed, firing or fired.
lease_state() {
	LEASE=off
	l_=$RUN/r-$1
	if [ -e "$l_/fired" ]; then
		LEASE=fired
		! watched "$1" || LEASE=firing
	elif [ -f "$l_/lease" ]; then
		read -r l_ _ <"$l_/lease"
		now
		# Past its deadline but not yet fired is about to fire, if it is watched.
		if [ "$l_" -gt "$CS" ] || watched "$1"; then LEASE=armed; fi
	fi
}

# watched RUN: is there a watchdog?
watched() {
	[ -f "$RUN/r-$1/watch.lock" ] || return 1
	! flock -s -n 9 9<"$RUN/r-$1/watch.lock"
}

# arm ID RUN TERM DURATION GAP GRACE [WAVE STEP ATT LOCKSTEP LOCKATT TIMEOUT PATH DIGEST ENV... ;]...
arm() {
	claim_lock
	if ! owns "$2" "$3"; then
		fenced "$1"
		return
	fi
	id=$1 run=$2 term=$3 dur=$4 gap=$5 grace=$6
	shift 6
	if [ -e "$RUN/r-$run/fired" ]; then
		fail "$id" fired 'the lease has fired already'
		return
	fi
	if ! durable "$STATE/r-$run/unlocks" "$(unlock_lines "$@")"; then
		fail "$id" error "cannot store the unlocks in $STATE"
		return
	fi
	if [ "$dur" != 0 ] && ! push "$run" "$term" "$dur" "$gap" "$grace"; then
		fail "$id" error "the deadline of the lease cannot be written in $RUN, or its watchdog did not start"
		return
	fi
	say "$id" ok
}

# unlock_lines: one unlock a line. The words are the client's encoded ones.
unlock_lines() {
	for w; do
		case $w in
		';') echo ;;
		*) printf '%s ' "$w" ;;
		esac
	done
}

# push RUN TERM DURATION GAP GRACE: moves the deadline; sees to the watchdog. One
# that cannot be written stays what it was: a lease that is lost unlocks nothing.
push() {
	now
	if ! echo "$((CS + $3)) $4 $5" >"$RUN/r-$1/lease.new" || ! mv -f "$RUN/r-$1/lease.new" "$RUN/r-$1/lease"; then
		[ ! -f "$RUN/r-$1/lease" ] || watched "$1" || start_watch "$1" "$2"
		return 1
	fi
	watched "$1" || start_watch "$1" "$2"
	# Only when it has its lock is it in a session of its own, out of reach of
	# whatever ends ours; and one that fires at once may be done already.
	tries=0
	until watched "$1" || [ -e "$RUN/r-$1/fired" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}

# start_watch RUN TERM: returns when the watchdog has its lock, or has ended:
# it closes its output then, which is what the command substitution waits for.
start_watch() {
	: "$(setsid -f "$SH" "$L" watch "$RUN" "$STATE" "$UM" "$LC" "$SH" "$1" "$2" \
		</dev/null 2>/dev/null 5>&- 6>&- 8>&-)"
}

# stop_watch RUN: the watchdog and its sleep are a process group of their own.
# It may hold its lock for a moment before it has written its process id.
stop_watch() {
	while watched "$1"; do
		if read -r w <"$RUN/r-$1/watch.pid"; then
			: >"$RUN/r-$1/watch.pid" # never again that one
			kill -s KILL -- "-$w"
		fi
		# Free as soon as it is gone; a look too early is only made again.
		! flock -s -w 0.02 9 9<"$RUN/r-$1/watch.lock" || return 0
	done 2>/dev/null
}

# renew ID RUN TERM DURATION: DURATION 0 fires now.
renew() {
	claim_lock
	if ! owns "$2" "$3"; then
		fenced "$1"
		return
	fi
	lease_state "$2"
	if [ "$LEASE" = armed ]; then
		read -r _ gap grace <"$RUN/r-$2/lease"
		[ "$4" != 0 ] || stop_watch "$2"
		if ! push "$2" "$3" "$4" "$gap" "$grace"; then
			fail "$1" error "the deadline of the lease cannot be written in $RUN, or its watchdog did not start"
			return
		fi
	fi
	say "$1" ok "$LEASE"
}

# watch_main RUN TERM: the watchdog. It sleeps until the deadline as it was
# when it looked; renewals only move that away, and firing now replaces it.
watch_main() {
	trap : HUP # not '': the unlock scripts, and what they start, would ignore it
	exec 9>>"$RUN/r-$1/watch.lock" || return
	flock -w 1 9 || return
	echo "$$" >"$RUN/r-$1/watch.pid"
	exec >/dev/null
	while read -r deadline gap grace <"$RUN/r-$1/lease"; do
		now
		if [ "$deadline" -le "$CS" ]; then
			fire "$1" "$2"
			return
		fi
		seconds $((deadline - CS))
		sleep "$SEC" 9>&-
	done 2>/dev/null
}

# fire RUN TERM: nobody renewed the lease. The mark comes first, so that no
# lock or work step can start behind our back; then what runs is ended; then
# the owed unlocks, wave by wave.
fire() {
	claim_lock
	read -r deadline gap grace <"$RUN/r-$1/lease" || return
	now
	if ! owns "$1" "$2"; then return; fi
	if [ "$deadline" -gt "$CS" ]; then
		claim_unlock
		watch_again "$1" "$2"
		return
	fi
	: >"$RUN/r-$1/fired"
	durable "$STATE/r-$1/fired" "$BOOT $UP"
	claim_unlock
	began=$CS
	end_scripts "$1" "$grace"
	unlock_waves "$1" "$2"
}

# watch_again: a renewal came between our look and the claim lock.
watch_again() {
	exec "$SH" "$L" watch "$RUN" "$STATE" "$UM" "$LC" "$SH" "$1" "$2" 9>&-
}

# end_scripts RUN GRACE: all running steps that are not unlocks, at once.
end_scripts() {
	set +f
	for d in "$RUN/r-$1"/s-*@*.lock; do
		set -f
		[ -e "$d" ] || continue
		split "$d"
		names "$1" "$STEP" "$ATT"
		if ! is_unlock "$1" "$STEP"; then
			starting
			kill_step "$2" 9>&- &
		fi
	done
	set -f
	wait
}

# starting: a step that was let in before the mark may still be on its way to
# its first record; wait for that, or settle it.
starting() {
	tries=0
	while [ ! -s "$D.record" ] && [ "$tries" -lt 50 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	[ -s "$D.record" ] || entomb settled
}

# unlock_waves RUN TERM: wave W not before (W-1) x GAP after firing, and not
# before each unlock of the one before has ended its first try.
unlock_waves() {
	for wave in $(sort -n -u -k1,1 "$STATE/r-$1/unlocks" | cut -d' ' -f1 | uniq); do
		now
		due=$((began + (wave - 1) * gap - CS))
		if [ "$due" -gt 0 ]; then
			seconds "$due"
			sleep "$SEC"
		fi
		exec 8>>"$RUN/r-$1/wave.lock"
		flock -s 8
		while read -r line; do
			# shellcheck disable=SC2086
			[ "${line%% *}" != "$wave" ] || ! is_owed "$1" $line || start_unlock "$1" "$2" $line
		done <"$STATE/r-$1/unlocks"
		exec 8>&-
		flock "$RUN/r-$1/wave.lock" true
	done
}

# start_unlock RUN TERM UNLOCK...: its process keeps descriptor 8, the wave's
# lock, until its first try has ended. Not "&": scripts shall not ignore INT.
start_unlock() {
	setsid -f "$SH" "$L" lease-unlock "$RUN" "$STATE" "$UM" "$LC" "$SH" "$@" \
		</dev/null >/dev/null 2>&1 9>&-
}

# unlock_main RUN TERM WAVE STEP ATT LOCKSTEP LOCKATT TIMEOUT PATH DIGEST [ENV...]
unlock_main() {
	run=$1 term=$2 step=$4 att=$5 timeout=$8 path=$9
	shift 9
	for delay in 0 10 60; do
		sleep "$delay"
		! unlocked "$run" "$step" || return 0
		attempt "$@"
		! unlocked "$run" "$step" || return 0
		exec 8>&-
	done
}

# attempt DIGEST [ENV...]: one try under the next free number; a try of the
# orchestrator's that is still running is waited for instead.
attempt() {
	seconds "$timeout"
	while [ -e "$RUN/r-$run/s-$step@$att.lock" ]; do
		names "$run" "$step" "$att"
		flock -s -w "$SEC" "$D.lock" true || return 0
		att=$((att + 1))
	done
	! unlocked "$run" "$step" || return 0
	setsid -f "$SH" "$L" step "$RUN" "$STATE" "$UM" "$LC" "$SH" \
		- "$run" "$step" "$att" "$term" lease "$path" "$@" </dev/null 8>&-
	names "$run" "$step" "$att"
	starting
	seconds "$timeout"
	flock -s -w "$SEC" "$D.lock" true || kill_step 3000
}
