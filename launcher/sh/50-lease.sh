# shellcheck shell=dash
# The lease: a timer of the instance's own that unlocks when nobody renews it.
# $RUN/r-RUN/lease holds "DEADLINE GAP GRACE" in hundredths of a second since
# boot; `fired` beside it says that the run has lost the right to lock and work.

# lks_lease_state RUN: sets LEASE to off, armed, firing or fired.
lks_lease_state() {
	lks_LEASE=off
	lks_l_=$lks_RUN/r-$1
	if [ -e "$lks_l_/fired" ]; then
		lks_LEASE=fired
		! lks_watched "$1" || lks_LEASE=firing
	elif [ -f "$lks_l_/lease" ]; then
		read -r lks_l_ lks__ <"$lks_l_/lease"
		lks_now
		# Past its deadline but not yet fired is about to fire, if it is watched. A
		# container that was restarted kept the file, not the watchdog, and its
		# deadline is one of another boot's clock.
		if lks_watched "$1" || { [ "$lks_l_" -gt "$lks_CS" ] && ! lks_rebooted "$1"; }; then lks_LEASE=armed; fi
	fi
}

# lks_watched RUN: is there a watchdog?
lks_watched() {
	[ -f "$lks_RUN/r-$1/watch.lock" ] || return 1
	! flock -s -n 9 9<"$lks_RUN/r-$1/watch.lock"
}

# lks_arm ID RUN TERM DURATION GAP GRACE [WAVE STEP ATT LOCKSTEP LOCKATT TIMEOUT PATH DIGEST ENV... ;]...
lks_arm() {
	lks_claim_lock
	if ! lks_owns "$2" "$3"; then
		lks_fenced "$1"
		return
	fi
	lks_id=$1 lks_run=$2 lks_term=$3 lks_dur=$4 lks_gap=$5 lks_grace=$6
	shift 6
	if [ -e "$lks_RUN/r-$lks_run/fired" ]; then
		lks_fail "$lks_id" fired 'the lease has fired already'
		return
	fi
	if ! lks_durable "$lks_STATE/r-$lks_run/unlocks" "$(lks_unlock_lines "$@")"; then
		lks_fail "$lks_id" error "cannot store the unlocks in $lks_STATE"
		return
	fi
	if ! lks_spare "$lks_run" "$@"; then
		lks_fail "$lks_id" error "no room in $lks_RUN to note what the unlocks do"
		return
	fi
	if [ "$lks_dur" != 0 ] && ! lks_push "$lks_run" "$lks_term" "$lks_dur" "$lks_gap" "$lks_grace"; then
		lks_fail "$lks_id" error "the deadline of the lease cannot be written in $lks_RUN, or its watchdog did not start"
		return
	fi
	lks_say "$lks_id" ok
}

# lks_unlock_lines: one unlock a line. The words are the client's encoded ones.
lks_unlock_lines() {
	for lks_w; do
		case $lks_w in
		';') echo ;;
		*) printf '%s ' "$lks_w" ;;
		esac
	done
}

# lks_spare RUN UNLOCK-WORD...: makes spare records for all tries of all unlocks, so
# that they can be noted whatever fills the file system; see lks_reserve.
lks_spare() {
	lks_run=$1 lks_n=0
	shift
	for lks_w; do
		[ "$lks_w" = ';' ] || continue
		for lks_W in 1 2 3 4 5 6; do
			lks_n=$((lks_n + 1))
			printf '%-400s\n' new >"$lks_RUN/r-$lks_run/spare-$lks_n" || return 1
		done
	done
}

# lks_push RUN TERM DURATION GAP GRACE: moves the deadline; sees to the watchdog. One
# that cannot be written stays what it was: a lease that is lost unlocks nothing.
lks_push() {
	lks_now
	if ! lks_put_lease "$1" "$((lks_CS + $3)) $4 $5"; then
		[ ! -f "$lks_RUN/r-$1/lease" ] || lks_watched "$1" || lks_start_watch "$1" "$2"
		return 1
	fi
	! lks_watched "$1" || return 0
	lks_start_watch "$1" "$2"
	# Only when it has its lock is it in a session of its own, out of reach of
	# whatever ends ours; and one that fires at once may be done already.
	[ "$lks_W" != watching ] || return 0
	lks_tries=0
	until lks_watched "$1" || [ -e "$lks_RUN/r-$1/fired" ]; do
		lks_tries=$((lks_tries + 1))
		[ "$lks_tries" -lt 250 ] || return 1
		sleep 0.02
	done
}

# lks_put_lease RUN TEXT: replaces the file, or writes over it where there is no
# room for another one. Who reads that half-way reads it again under the claim's lock.
lks_put_lease() {
	{ echo "$2" >"$lks_RUN/r-$1/lease.new" && mv -f "$lks_RUN/r-$1/lease.new" "$lks_RUN/r-$1/lease"; } 2>/dev/null && return
	rm -f "$lks_RUN/r-$1/lease.new" 2>/dev/null
	[ -f "$lks_RUN/r-$1/lease" ] && echo "$2" 2>/dev/null 1<>"$lks_RUN/r-$1/lease"
}

# lks_start_watch RUN TERM: returns when the watchdog has its lock, or has ended:
# it closes its output then, which is what the command substitution waits for. W is
# "watching" where it has said that it has its lock.
lks_start_watch() {
	lks_W=$(setsid -f "$lks_SH" "$lks_L" watch "$lks_RUN" "$lks_STATE" "$lks_UM" "$lks_LC" "$lks_SH" "$1" "$2" \
		</dev/null 2>/dev/null 3>&- 5>&- 6>&- 8>&-)
}

# lks_stop_watch RUN: the watchdog and its sleep are a process group of their own.
# It may hold its lock for a moment before it has written its process id.
lks_stop_watch() {
	while lks_watched "$1"; do
		if read -r lks_w <"$lks_RUN/r-$1/watch.pid"; then
			: >"$lks_RUN/r-$1/watch.pid" # never again that one
			kill -s KILL -- "-$lks_w"
		fi
		# Free as soon as it is gone; a look too early is only made again.
		! flock -s -w 0.02 9 9<"$lks_RUN/r-$1/watch.lock" || return 0
	done 2>/dev/null
}

# lks_renew ID RUN TERM DURATION: DURATION 0 fires now.
lks_renew() {
	lks_claim_lock
	if ! lks_owns "$2" "$3"; then
		lks_fenced "$1"
		return
	fi
	lks_lease_state "$2"
	if [ "$lks_LEASE" = armed ]; then
		read -r lks__ lks_gap lks_grace <"$lks_RUN/r-$2/lease"
		[ "$4" != 0 ] || lks_stop_watch "$2"
		if ! lks_push "$2" "$3" "$4" "$lks_gap" "$lks_grace"; then
			lks_fail "$1" error "the deadline of the lease cannot be written in $lks_RUN, or its watchdog did not start"
			return
		fi
	fi
	lks_say "$1" ok "$lks_LEASE"
}

# lks_watch_main RUN TERM: the watchdog. It sleeps until the deadline as it was
# when it looked; renewals only move that away, and firing now replaces it.
lks_watch_main() {
	trap : HUP # not '': the unlock scripts, and what they start, would ignore it
	exec 9>>"$lks_RUN/r-$1/watch.lock" || return
	flock -w 1 9 || return
	echo "$$" >"$lks_RUN/r-$1/watch.pid" || return # nobody could stop it
	echo watching
	exec >/dev/null
	while read -r lks_deadline lks_gap lks_grace <"$lks_RUN/r-$1/lease"; do
		lks_now
		if [ "$lks_deadline" -le "$lks_CS" ]; then
			lks_fire "$1" "$2"
			return
		fi
		lks_seconds $((lks_deadline - lks_CS))
		sleep "$lks_SEC" 9>&-
	done 2>/dev/null
}

# lks_fire RUN TERM: nobody renewed the lease. The mark comes first, so that no
# lock or work step can start behind our back; then what runs is ended; then
# the owed unlocks, wave by wave.
lks_fire() {
	lks_claim_lock
	read -r lks_deadline lks_gap lks_grace <"$lks_RUN/r-$1/lease" || return
	lks_now
	if ! lks_owns "$1" "$2"; then return; fi
	if [ "$lks_deadline" -gt "$lks_CS" ]; then
		lks_claim_unlock
		lks_watch_again "$1" "$2"
		return
	fi
	: >"$lks_RUN/r-$1/fired"
	lks_durable "$lks_STATE/r-$1/fired" "$lks_BOOT $lks_UP"
	lks_claim_unlock
	lks_began=$lks_CS
	lks_end_scripts "$1" "$lks_grace"
	lks_unlock_waves "$1" "$2"
}

# lks_watch_again: a renewal came between our look and the claim lock.
lks_watch_again() {
	exec "$lks_SH" "$lks_L" watch "$lks_RUN" "$lks_STATE" "$lks_UM" "$lks_LC" "$lks_SH" "$1" "$2" 9>&-
}

# lks_end_scripts RUN GRACE: all running steps that are not unlocks, at once.
lks_end_scripts() {
	set +f
	for lks_d in "$lks_RUN/r-$1"/s-*@*.lock; do
		set -f
		[ -e "$lks_d" ] || continue
		lks_split "$lks_d"
		lks_names "$1" "$lks_STEP" "$lks_ATT"
		if ! lks_is_unlock "$1" "$lks_STEP"; then
			lks_starting
			lks_kill_step "$2" 9>&- &
		fi
	done
	set -f
	wait
}

# lks_starting: a step that was let in before the mark may still be on its way to
# its first record; wait for that, or settle it.
lks_starting() {
	lks_tries=0
	until lks_decided || [ "$lks_tries" -ge 50 ]; do
		sleep 0.1
		lks_tries=$((lks_tries + 1))
	done
	lks_decided || lks_entomb settled
}

# lks_unlock_waves RUN TERM: wave W not before (W-1) x GAP after firing, and not
# before each unlock of the one before has ended its first try.
lks_unlock_waves() {
	for lks_wave in $(sort -n -u -k1,1 "$lks_STATE/r-$1/unlocks" | cut -d' ' -f1 | uniq); do
		lks_now
		lks_due=$((lks_began + (lks_wave - 1) * lks_gap - lks_CS))
		if [ "$lks_due" -gt 0 ]; then
			lks_seconds "$lks_due"
			sleep "$lks_SEC"
		fi
		exec 8>>"$lks_RUN/r-$1/wave.lock"
		flock -s 8
		while read -r lks_line; do
			# shellcheck disable=SC2086
			[ "${lks_line%% *}" != "$lks_wave" ] || ! lks_is_owed "$1" $lks_line || lks_start_unlock "$1" "$2" $lks_line
		done <"$lks_STATE/r-$1/unlocks"
		exec 8>&-
		flock "$lks_RUN/r-$1/wave.lock" true
	done
}

# lks_start_unlock RUN TERM UNLOCK...: its process keeps descriptor 8, the wave's
# lock, until its first try has ended. Not "&": scripts shall not ignore INT.
lks_start_unlock() {
	setsid -f "$lks_SH" "$lks_L" lease-unlock "$lks_RUN" "$lks_STATE" "$lks_UM" "$lks_LC" "$lks_SH" "$@" \
		</dev/null >/dev/null 2>&1 9>&-
}

# lks_unlock_main RUN TERM WAVE STEP ATT LOCKSTEP LOCKATT TIMEOUT PATH DIGEST [ENV...]
lks_unlock_main() {
	lks_run=$1 lks_term=$2 lks_step=$4 lks_att=$5 lks_timeout=$8 lks_path=$9
	shift 9
	for lks_delay in 0 10 60; do
		sleep "$lks_delay"
		! lks_settled || return 0
		lks_attempt "$@"
		! lks_settled || return 0
		exec 8>&-
	done
}

# lks_settled: is it unlocked, or has the run been released, which says as much?
lks_settled() {
	[ ! -d "$lks_RUN/r-$lks_run" ] || lks_unlocked "$lks_run" "$lks_step"
}

# lks_attempt DIGEST [ENV...]: one try under the next free number; a try of the
# orchestrator's that is still running is waited for instead.
lks_attempt() {
	lks_seconds "$lks_timeout"
	while [ -e "$lks_RUN/r-$lks_run/s-$lks_step@$lks_att.lock" ]; do
		lks_names "$lks_run" "$lks_step" "$lks_att"
		flock -s -w "$lks_SEC" "$lks_D.lock" true || return 0
		lks_att=$((lks_att + 1))
	done
	! lks_unlocked "$lks_run" "$lks_step" || return 0
	setsid -f "$lks_SH" "$lks_L" step "$lks_RUN" "$lks_STATE" "$lks_UM" "$lks_LC" "$lks_SH" \
		- "$lks_run" "$lks_step" "$lks_att" "$lks_term" lease "$lks_path" "$@" </dev/null 8>&-
	lks_names "$lks_run" "$lks_step" "$lks_att"
	lks_starting
	lks_seconds "$lks_timeout"
	flock -s -w "$lks_SEC" "$lks_D.lock" true || lks_kill_step 3000
}
