# shellcheck shell=dash
# The claim: which run owns the instance. It lies in $STATE, synced, together
# with the unlocks that the run has armed: enough to unlock without a journal.

# lks_claim_lock: one claim, arm, fire or release at a time. The file may have
# been removed by a release while we waited for it.
lks_claim_lock() {
	while :; do
		exec 8>>"$lks_RUN/claim.lock"
		flock 8
		[ ! /proc/self/fd/8 -ef "$lks_RUN/claim.lock" ] || return 0
	done
}
lks_claim_unlock() { exec 8>&-; }

# lks_claim ID KEY OWNER RUN TERM TAKEOVER OVER: OVER is a run of which the client
# knows that it has ended; a session that seems to drive it is a leftover.
lks_claim() {
	if ! lks_is_term "$5"; then
		lks_fail "$1" error "'$5' is not a term"
		return
	fi
	lks_claim_lock
	lks_read_claim
	lks_was=$lks_C_RUN lks_holder="$lks_C_RUN $lks_C_TERM $lks_C_SEEN $lks_C_BOOT $lks_C_TIME $lks_C_KEY $lks_C_OWNER"
	lks_seen=$lks_C_SEEN
	if [ "$lks_was" = "$4" ] && [ "$5" -lt "$lks_C_TERM" ]; then
		lks_say "$1" held stale "$lks_holder"
		return
	fi
	if [ -n "$lks_was" ] && [ "$lks_was" != "$4" ]; then
		if [ "$6" = 0 ] && lks_driven "$lks_was" "$7"; then
			lks_say "$1" held "$lks_WHY" "$lks_holder"
			return
		fi
	fi
	if ! lks_take_claim "$@"; then
		lks_fail "$1" error "cannot store the claim in $lks_STATE"
		return
	fi
	if [ -n "$lks_was" ] && [ "$lks_was" != "$4" ]; then
		# A script that was started while we looked: its run keeps the claim.
		if [ "$6" = 0 ] && lks_driven "$lks_was" "$7"; then
			lks_durable "$lks_STATE/claim" "1 $lks_holder"
			lks_say "$1" held "$lks_WHY" "$lks_holder"
			return
		fi
		if ! lks_stop_streams "$lks_was"; then
			lks_durable "$lks_STATE/claim" "1 $lks_holder"
			lks_fail "$1" error "what run '$lks_was' is still unpacking here cannot be ended"
			return
		fi
		lks_stop_watch "$lks_was"
		lks_durable "$lks_STATE/r-$4/displaced" "$lks_holder"
	fi
	lks_confinable "$4"
	set +f
	for lks_W in "$lks_SESS"/for-*; do
		set -f
		[ ! -e "$lks_W" ] || [ "$lks_W" = "$lks_SESS/for-$4" ] || rm -f "$lks_W"
	done
	set -f
	lks_speak_for "$4"
	# The rows may have to wait for a slow client.
	lks_claim_unlock
	[ -z "$lks_was" ] || [ "$lks_was" = "$4" ] || lks_say "$1" displaced "$lks_holder"
	lks_report_runs "$1"
	lks_say "$1" ok "$lks_seen" "$lks_BOOT"
}

# lks_take_claim: see lks_claim. The first boot of a run stays on record: it becomes
# durable together with the claim, before anything can be armed.
lks_take_claim() {
	lks_now
	lks_max=$lks_seen lks_dir=$lks_STATE/r-$4
	[ "$5" -le "$lks_max" ] || lks_max=$5
	lks_text="1 $4 $5 $lks_max $lks_BOOT $((lks_BOOTED + lks_CS / 100)) $2 $3"
	mkdir -p "$lks_RUN/r-$4" "$lks_dir" || return 1
	if [ -s "$lks_dir/boot" ]; then
		lks_durable "$lks_STATE/claim" "$lks_text"
		return
	fi
	true >"$lks_RUN/r-$4/began" || return 1
	# An empty one, of a claim that was cut off here, counts as another boot's until it
	# is written again.
	echo "$lks_BOOT" >"$lks_dir/boot" && printf '%s\n' "$lks_text" >"$lks_STATE/claim.new" &&
		sync "$lks_dir/boot" "$lks_STATE/claim.new" &&
		mv -f "$lks_STATE/claim.new" "$lks_STATE/claim" && sync "$lks_dir" "$lks_STATE"
}

# lks_confinable RUN: makes the control group in which each step gets its own, below
# ours, so that limits stay what they are. It is noted where it lies; without
# version 2, or rights, there is none.
lks_confinable() {
	[ ! -e "$lks_RUN/r-$1/cgroup" ] || return 0
	lks_W=''
	while read -r lks__ lks_d lks_s lks__; do
		[ "$lks_s" != cgroup2 ] || lks_W=$lks_d
	done </proc/self/mounts
	[ -n "$lks_W" ] || return 0
	while IFS=: read -r lks_s lks__ lks_d; do
		[ "$lks_s" != 0 ] || lks_W=${lks_W}${lks_d%/}
	done </proc/self/cgroup
	case $lks_W in */..*) return 0 ;; esac # ours is not to be seen from here
	lks_g=$lks_W
	lks_whoami_
	lks_g=$lks_g/lockstep.$1.$lks_PID.$lks_TICKS
	# The places of its first steps are made with it; see lks_place.
	if mkdir "$lks_g" "$lks_g/1" "$lks_g/2" "$lks_g/3" "$lks_g/4" "$lks_g/5" "$lks_g/6" 2>/dev/null; then
		echo "$lks_g" >"$lks_RUN/r-$1/cgroup"
	else
		set +f
		rmdir "$lks_g"/*/ "$lks_g" 2>/dev/null
		set -f
	fi
}

# lks_unconfine RUN: its control groups go. What a script started to stay is moved
# to where it would be without them.
lks_unconfine() {
	{ read -r lks_g <"$lks_RUN/r-$1/cgroup"; } 2>/dev/null || return 0
	set +f
	for lks_d in "$lks_g"/*/; do
		set -f
		while read -r lks_W; do
			echo "$lks_W" >"${lks_g%/*}/cgroup.procs"
		done <"${lks_d}cgroup.procs"
	done 2>/dev/null
	set +f
	rmdir "$lks_g"/*/ "$lks_g" 2>/dev/null
	set -f
}

# lks_driven RUN OVER: is it alive, or is somebody here who drives it? WHY says which.
lks_driven() {
	! lks_alive "$1" || return 0
	lks_WHY=session
	[ "$1" != "$2" ] && lks_live_session "$1"
}

# lks_live_session RUN: is there another control session than this one that spoke
# for that run, within the last two minutes? Its client does so every half. One
# that is silent may be a connection whose other end has lost power.
lks_live_session() {
	set +f
	for lks_d_ in "$lks_RUN"/sess-*; do
		set -f
		[ "$lks_d_" != "$lks_SESS" ] || continue
		[ -e "$lks_d_/for-$1" ] || continue
		{ read -r lks_W <"$lks_d_/heard"; } 2>/dev/null || lks_W= # it is being written
		lks_now
		# One that was heard later than now was heard in another boot.
		lks_W=${lks_W:-$lks_CS}
		[ "$lks_W" -le "$lks_CS" ] && [ "$((lks_CS - lks_W))" -le 12000 ] || continue
		{ read -r lks_s <"/proc/${lks_d_##*-}/stat"; } 2>/dev/null || continue
		case ${lks_s##*) } in Z*) ;; *) return 0 ;; esac
	done
	set -f
	return 1
}

# lks_hold_streams RUN: whoever unpacks for the run holds its lock of streams, and
# is known by its mark. Descriptor 9 stays open until all has ended. A reboot
# took the run's folder away: then nothing of it may start.
lks_hold_streams() {
	[ "$1" != - ] || return 0
	if [ ! -d "$lks_RUN/r-$1" ]; then
		echo "run '$1' has nothing on this instance" >&2
		return 1
	fi
	# Who only looks whether somebody holds it does so for a moment.
	exec 9>>"$lks_RUN/r-$1/streams" && flock -s -w 5 9 || return 1
	export LOCKSTEP_STEP="$lks_RUN/r-$1/streams"
}

# lks_live_stream RUN: is anything being unpacked for it?
lks_live_stream() {
	[ -f "$lks_RUN/r-$1/streams" ] || return 1
	! flock -n "$lks_RUN/r-$1/streams" true
}

# lks_stop_streams RUN: it has lost its claim; what it still unpacks is stopped, or
# this fails. A stream holds the lock before it looks at the claim, so that none
# is missed.
lks_stop_streams() {
	lks_D=$lks_RUN/r-$1/streams lks_tries=0
	while lks_live_stream "$1"; do
		[ "$lks_tries" -lt 100 ] || return 1
		# shellcheck disable=SC2086
		! lks_marked || kill -KILL $lks_PIDS 2>/dev/null
		lks_tries=$((lks_tries + 1))
		sleep 0.05
	done
}

# lks_alive RUN: has it a live step or an unexpired lease? WHY says which.
lks_alive() {
	lks_lease_state "$1"
	case $lks_LEASE in
	armed | firing)
		lks_WHY=lease
		return 0
		;;
	esac
	lks_live_step "$1"
}

# lks_live_step RUN: is any of its steps running? STEP says which.
lks_live_step() {
	lks_WHY=step
	set +f
	for lks_d in "$lks_RUN/r-$1"/s-*@*.lock; do
		set -f
		[ -e "$lks_d" ] || continue
		lks_split "$lks_d"
		lks_look "$1" "$lks_STEP" "$lks_ATT"
		case $lks_ST in running*) return 0 ;; esac
	done
	set -f
	return 1
}

# lks_split FILE: sets STEP and ATT from a step's lock file.
lks_split() {
	lks_STEP=${1##*/s-}
	lks_STEP=${lks_STEP%.lock}
	lks_ATT=${lks_STEP##*@}
	lks_STEP=${lks_STEP%@*}
}

# lks_report_runs ID: rows for every step that has not ended, and for every unlock
# that is owed, of all runs that have left something here.
lks_report_runs() {
	set +f
	for lks_r in "$lks_RUN"/r-* "$lks_STATE"/r-*; do
		set -f
		[ -d "$lks_r" ] || continue
		case $lks_r in
		"$lks_RUN"/*) lks_report_open "$1" "${lks_r##*/r-}" ;;
		*) lks_report_owed "$1" "${lks_r##*/r-}" ;;
		esac
	done
	set -f
}

lks_report_open() {
	set +f
	for lks_d in "$lks_RUN/r-$2"/s-*@*.lock; do
		set -f
		[ -e "$lks_d" ] || continue
		lks_split "$lks_d"
		# What is just being started is told of, and not waited for.
		lks_hasty=1
		lks_look "$2" "$lks_STEP" "$lks_ATT"
		lks_hasty=''
		case $lks_ST in
		ended* | never*) ;;
		*) lks_say "$1" open "$2" "$lks_STEP" "$lks_ATT" "$lks_ST" ;;
		esac
	done
	set -f
}

lks_report_owed() {
	[ -f "$lks_STATE/r-$2/unlocks" ] || return 0
	while read -r lks_line; do
		# shellcheck disable=SC2086
		! lks_is_owed "$2" $lks_line || lks_say "$1" owed "$2" "$lks_line"
	done <"$lks_STATE/r-$2/unlocks"
}

# lks_is_owed RUN WAVE STEP ATT LOCKSTEP LOCKATT ...: its lock was started and no
# try of it has ended with 0. After a reboot nobody knows what was started, so
# everything that was armed is owed.
lks_is_owed() {
	! lks_unlocked "$1" "$3" || return 1
	! lks_rebooted "$1" || return 0
	if [ "$5" != - ]; then
		lks_was_run "$1" "$5" "$6"
		return
	fi
	set +f
	for lks_d_ in "$lks_RUN/r-$1"/s-*@*.lock; do
		set -f
		[ -e "$lks_d_" ] || continue
		lks_split "$lks_d_"
		! lks_is_unlock "$1" "$lks_STEP" && lks_was_run "$1" "$lks_STEP" "$lks_ATT" && return 0
	done
	set -f
	return 1
}

# lks_was_run RUN STEP ATT: did its script start, or may it have?
lks_was_run() {
	lks_names "$1" "$2" "$3"
	[ -e "$lks_D.lock" ] || return 1
	lks_read_record
	[ "$lks_R" != tomb ]
}

# lks_unlocked RUN STEP: has a try of it ended with 0?
lks_unlocked() {
	set +f
	for lks_D in "$lks_RUN/r-$1/s-$2"@*.lock; do
		set -f
		lks_D=${lks_D%.lock}
		lks_read_record
		[ "$lks_R" != end ] || [ "$lks_R_RC" != 0 ] || return 0
	done
	set -f
	return 1
}

# lks_give_back HOLDER...: the claim is again that of the run which we displaced.
lks_give_back() {
	lks_durable "$lks_STATE/claim" "1 $*" || return 1
	if [ -f "$lks_RUN/r-$1/lease" ] && [ ! -e "$lks_RUN/r-$1/fired" ]; then lks_start_watch "$1" "$2"; fi
}

# lks_release ID RUN TERM MODE [STEP...]: done = the run's own things go, and those of
# other runs that owe nothing; while the lease can still unlock what nobody could
# reach it must not go with them; the STEPs, unlocks that it owes for all its
# tries, stay on record; all =
# those of every run; back = as done, or the claim goes back to whom it was taken
# from. "now" is in the lease's file.
lks_release() {
	lks_claim_lock
	lks_read_claim
	if [ -n "$lks_C_RUN" ] && ! lks_owns "$2" "$3"; then
		lks_fenced "$1"
		return
	fi
	if lks_live_step "$2"; then
		lks_fail "$1" busy "step '$lks_STEP' is still running"
		return
	fi
	if [ "$4" = "done" ] && lks_untried "$2" && lks_unlocks_itself "$2" "$3"; then
		lks_fail "$1" error "it still owes an unlock of which no try has ended; its lease unlocks it now"
		return
	fi
	lks_holder=
	[ "$4" != back ] || [ ! -f "$lks_STATE/r-$2/displaced" ] || read -r lks_holder <"$lks_STATE/r-$2/displaced"
	lks_forgive "$2"
	if [ "$4" = "done" ] && [ $# -gt 4 ]; then lks_keep_owed "$@"; else lks_drop_run "$2"; fi
	# shellcheck disable=SC2086
	if [ -n "$lks_holder" ] && lks_give_back $lks_holder; then
		lks_say "$1" ok
		return
	fi
	set +f
	for lks_r in "$lks_RUN"/r-* "$lks_STATE"/r-*; do
		set -f
		[ -d "$lks_r" ] || continue
		lks_r=${lks_r##*/r-}
		if [ "$4" = all ]; then
			# The lease of a run that was displaced does nothing any more; what it would
			# have unlocked, and nobody has, stays on record.
			! lks_live_step "$lks_r" || continue
			! lks_owes "$lks_r" || ! lks_alive "$lks_r" || continue
		elif lks_alive "$lks_r" || lks_owes "$lks_r"; then
			continue
		fi
		lks_drop_run "$lks_r"
	done
	set -f
	rm -f "$lks_STATE/claim"
	lks_drop_scripts
	lks_drop_helper
	[ ! -d "$lks_STATE" ] || sync "$lks_STATE"
	rmdir "$lks_STATE" 2>/dev/null
	lks_say "$1" ok
}

# lks_drop_scripts: what runs brought along goes when none has anything here.
lks_drop_scripts() {
	set +f
	for lks_r in "$lks_STATE"/r-*; do
		set -f
		[ ! -e "$lks_r" ] || return
	done
	set -f
	[ ! -e "$lks_STATE/scripts" ] || rm -rf "$lks_STATE/scripts"
}

# lks_untried RUN: does it owe an unlock of which no try has ended here?
lks_untried() {
	[ -f "$lks_STATE/r-$1/unlocks" ] || return 1
	while read -r lks_line; do
		# shellcheck disable=SC2086
		! lks_is_owed "$1" $lks_line || lks_tried "$1" $lks_line || return 0
	done <"$lks_STATE/r-$1/unlocks"
	return 1
}

# lks_tried RUN WAVE STEP...: has any try of it ended?
lks_tried() {
	set +f
	for lks_D in "$lks_RUN/r-$1/s-$3"@*.lock; do
		set -f
		lks_D=${lks_D%.lock}
		lks_read_record
		[ "$lks_R" != end ] || return 0
	done
	set -f
	return 1
}

# lks_unlocks_itself RUN TERM: the lease, if it is armed, fires now.
lks_unlocks_itself() {
	lks_lease_state "$1"
	case $lks_LEASE in
	armed)
		read -r lks__ lks_gap lks_grace <"$lks_RUN/r-$1/lease"
		lks_stop_watch "$1"
		lks_push "$1" "$2" 0 "$lks_gap" "$lks_grace"
		;;
	firing) ;;
	*) return 1 ;;
	esac
}

# lks_keep_owed ID RUN TERM MODE STEP...: the run is over and has not done these
# unlocks. Its record of them stays until somebody has, and so does what shows
# that they are owed.
lks_keep_owed() {
	lks_run=$2
	shift 4
	lks_stop_watch "$lks_run"
	rm -f "$lks_RUN/r-$lks_run/lease"
	[ -f "$lks_STATE/r-$lks_run/unlocks" ] || return 0
	lks_kept=''
	while read -r lks_wave_ lks_s_ lks_line; do
		for lks_W; do
			[ "$lks_W" != "$lks_s_" ] || lks_kept="$lks_kept$lks_wave_ $lks_s_ $lks_line$lks_NL"
		done
	done <"$lks_STATE/r-$lks_run/unlocks"
	lks_keep_unlocks "$lks_run"
}

# lks_keep_unlocks RUN: "kept" are the lines of what it still owes. One that owes
# nothing has no file.
lks_keep_unlocks() {
	if [ -n "$lks_kept" ]; then
		lks_durable "$lks_STATE/r-$1/unlocks" "${lks_kept%"$lks_NL"}"
	else
		rm -f "$lks_STATE/r-$1/unlocks"
	fi
}

# lks_forgive RUN: what it has unlocked, no other run owes any more.
lks_forgive() {
	set +f
	for lks_r in "$lks_STATE"/r-*/unlocks; do
		set -f
		lks_r=${lks_r%/unlocks}
		lks_r=${lks_r##*/r-}
		[ "$lks_r" != "$1" ] && [ -f "$lks_STATE/r-$lks_r/unlocks" ] || continue
		while read -r lks__ lks_W lks__; do
			! lks_unlocked "$1" "$lks_W" || lks_strike_out "$lks_r" "$lks_W"
		done <"$lks_STATE/r-$lks_r/unlocks"
	done
	set -f
}

# lks_strike_out RUN STEP: the run does not owe that unlock any more.
lks_strike_out() {
	lks_kept=''
	while read -r lks_wave_ lks_s_ lks_line; do
		[ "$lks_s_" = "$2" ] || lks_kept="$lks_kept$lks_wave_ $lks_s_ $lks_line$lks_NL"
	done <"$lks_STATE/r-$1/unlocks"
	lks_keep_unlocks "$1"
}

# lks_forget ID RUN STEP OWNRUN TERM: somebody vouches that the unlock which that
# other run owes is not needed any more.
lks_forget() {
	lks_claim_lock
	if ! lks_owns "$4" "$5"; then
		lks_fenced "$1"
		return
	fi
	if [ -f "$lks_STATE/r-$2/unlocks" ] && ! lks_strike_out "$2" "$3"; then
		lks_fail "$1" error "cannot store in $lks_STATE what is still owed"
		return
	fi
	lks_say "$1" ok
}

# lks_drop_run RUN: its folders go, and the timer of its lease.
lks_drop_run() {
	lks_stop_watch "$1"
	lks_unconfine "$1"
	# What says that something is owed goes before what says that it was not lost.
	rm -rf "$lks_STATE/r-$1" && rm -rf "$lks_RUN/r-$1"
}

# lks_owes RUN: is any unlock of it owed?
lks_owes() {
	[ -f "$lks_STATE/r-$1/unlocks" ] || return 1
	while read -r lks_line; do
		# shellcheck disable=SC2086
		! lks_is_owed "$1" $lks_line || return 0
	done <"$lks_STATE/r-$1/unlocks"
	return 1
}
