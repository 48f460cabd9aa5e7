# shellcheck shell=dash
# The claim: which run owns the instance. It lies in $STATE, synced, together
# with the unlocks that the run has armed: enough to unlock without a journal.

# claim_lock: one claim, arm, fire or release at a time. The file may have
# been removed by a release while we waited for it.
claim_lock() {
	while :; do
		exec 8>>"$RUN/claim.lock"
		flock 8
		[ ! /proc/self/fd/8 -ef "$RUN/claim.lock" ] || return 0
	done
}
claim_unlock() { exec 8>&-; }

# claim ID KEY OWNER RUN TERM TAKEOVER OVER: OVER is a run of which the client
# knows that it has ended; a session that seems to drive it is a leftover.
claim() {
	claim_lock
	read_claim
	was=$C_RUN holder="$C_RUN $C_TERM $C_SEEN $C_BOOT $C_TIME $C_KEY $C_OWNER"
	seen=$C_SEEN
	if [ "$was" = "$4" ] && [ "$5" -lt "$C_TERM" ]; then
		say "$1" held stale "$holder"
		return
	fi
	if [ -n "$was" ] && [ "$was" != "$4" ]; then
		if [ "$6" = 0 ] && driven "$was" "$7"; then
			say "$1" held "$WHY" "$holder"
			return
		fi
	fi
	if ! take_claim "$@"; then
		fail "$1" error "cannot store the claim in $STATE"
		return
	fi
	if [ -n "$was" ] && [ "$was" != "$4" ]; then
		# A script that was started while we looked: its run keeps the claim.
		if [ "$6" = 0 ] && driven "$was" "$7"; then
			durable "$STATE/claim" "1 $holder"
			say "$1" held "$WHY" "$holder"
			return
		fi
		if ! stop_streams "$was"; then
			durable "$STATE/claim" "1 $holder"
			fail "$1" error "what run '$was' is still unpacking here cannot be ended"
			return
		fi
		stop_watch "$was"
		say "$1" displaced "$holder"
		durable "$STATE/r-$4/displaced" "$holder"
	fi
	heard
	echo "$4" >"$SESS/run"
	report_runs "$1"
	say "$1" ok "$seen" "$BOOT"
}

# take_claim: see claim. The first boot of a run stays on record: it becomes
# durable together with the claim, before anything can be armed.
take_claim() {
	now
	max=$seen dir=$STATE/r-$4
	[ "$5" -le "$max" ] || max=$5
	text="1 $4 $5 $max $BOOT $((BOOTED + CS / 100)) $2 $3"
	mkdir -p "$RUN/r-$4" "$dir" || return 1
	if [ -f "$dir/boot" ]; then
		durable "$STATE/claim" "$text"
		return
	fi
	echo "$BOOT" >"$dir/boot.new" && printf '%s\n' "$text" >"$STATE/claim.new" &&
		sync "$dir/boot.new" "$STATE/claim.new" && mv -f "$dir/boot.new" "$dir/boot" &&
		mv -f "$STATE/claim.new" "$STATE/claim" && sync "$dir" "$STATE"
}

# driven RUN OVER: is it alive, or is somebody here who drives it? WHY says which.
driven() {
	! alive "$1" || return 0
	WHY=session
	[ "$1" != "$2" ] && live_session "$1"
}

# live_session RUN: is there another control session than this one that spoke
# for that run, within the last two minutes? Its client does so every half. One
# that is silent may be a connection whose other end has lost power.
live_session() {
	set +f
	for d_ in "$RUN"/sess-*; do
		set -f
		[ "$d_" != "$SESS" ] || continue
		{ read -r W <"$d_/run"; } 2>/dev/null || continue
		[ "$W" = "$1" ] || continue
		{ read -r W <"$d_/heard"; } 2>/dev/null || W= # it is being written
		now
		# One that was heard later than now was heard in another boot.
		W=${W:-$CS}
		[ "$W" -le "$CS" ] && [ "$((CS - W))" -le 12000 ] || continue
		{ read -r s <"/proc/${d_##*-}/stat"; } 2>/dev/null || continue
		case ${s##*) } in Z*) ;; *) return 0 ;; esac
	done
	set -f
	return 1
}

# hold_streams RUN: whoever unpacks for the run holds its lock of streams, and
# is known by its mark. Descriptor 9 stays open until all has ended. A reboot
# took the run's folder away: then nothing of it may start.
hold_streams() {
	[ "$1" != - ] || return 0
	if [ ! -d "$RUN/r-$1" ]; then
		echo "run '$1' has nothing on this instance" >&2
		return 1
	fi
	# Who only looks whether somebody holds it does so for a moment.
	exec 9>>"$RUN/r-$1/streams" && flock -s -w 5 9 || return 1
	export LOCKSTEP_STEP="$RUN/r-$1/streams"
}

# live_stream RUN: is anything being unpacked for it?
live_stream() {
	[ -f "$RUN/r-$1/streams" ] || return 1
	! flock -n "$RUN/r-$1/streams" true
}

# stop_streams RUN: it has lost its claim; what it still unpacks is stopped, or
# this fails. A stream holds the lock before it looks at the claim, so that none
# is missed.
stop_streams() {
	D=$RUN/r-$1/streams tries=0
	while live_stream "$1"; do
		[ "$tries" -lt 100 ] || return 1
		# shellcheck disable=SC2086
		! strays || kill -KILL $PIDS 2>/dev/null
		tries=$((tries + 1))
		sleep 0.05
	done
}

# alive RUN: has it a live step or an unexpired lease? WHY says which.
alive() {
	lease_state "$1"
	case $LEASE in
	armed | firing)
		WHY=lease
		return 0
		;;
	esac
	live_step "$1"
}

# live_step RUN: is any of its steps running? STEP says which.
live_step() {
	WHY=step
	set +f
	for d in "$RUN/r-$1"/s-*@*.lock; do
		set -f
		[ -e "$d" ] || continue
		split "$d"
		look "$1" "$STEP" "$ATT"
		case $ST in running*) return 0 ;; esac
	done
	set -f
	return 1
}

# split FILE: sets STEP and ATT from a step's lock file.
split() {
	STEP=${1##*/s-}
	STEP=${STEP%.lock}
	ATT=${STEP##*@}
	STEP=${STEP%@*}
}

# report_runs ID: rows for every step that has not ended, and for every unlock
# that is owed, of all runs that have left something here.
report_runs() {
	set +f
	for r in "$RUN"/r-* "$STATE"/r-*; do
		set -f
		[ -d "$r" ] || continue
		case $r in
		"$RUN"/*) report_open "$1" "${r##*/r-}" ;;
		*) report_owed "$1" "${r##*/r-}" ;;
		esac
	done
	set -f
}

report_open() {
	set +f
	for d in "$RUN/r-$2"/s-*@*.lock; do
		set -f
		[ -e "$d" ] || continue
		split "$d"
		look "$2" "$STEP" "$ATT"
		case $ST in
		ended* | never*) ;;
		*) say "$1" open "$2" "$STEP" "$ATT" "$ST" ;;
		esac
	done
	set -f
}

report_owed() {
	[ -f "$STATE/r-$2/unlocks" ] || return 0
	while read -r line; do
		# shellcheck disable=SC2086
		! is_owed "$2" $line || say "$1" owed "$2" "$line"
	done <"$STATE/r-$2/unlocks"
}

# is_owed RUN WAVE STEP ATT LOCKSTEP LOCKATT ...: its lock was started and no
# try of it has ended with 0. After a reboot nobody knows what was started, so
# everything that was armed is owed.
is_owed() {
	! unlocked "$1" "$3" || return 1
	! rebooted "$1" || return 0
	if [ "$5" != - ]; then
		was_run "$1" "$5" "$6"
		return
	fi
	set +f
	for d_ in "$RUN/r-$1"/s-*@*.lock; do
		set -f
		[ -e "$d_" ] || continue
		split "$d_"
		! is_unlock "$1" "$STEP" && was_run "$1" "$STEP" "$ATT" && return 0
	done
	set -f
	return 1
}

# was_run RUN STEP ATT: did its script start, or may it have?
was_run() {
	names "$1" "$2" "$3"
	[ -e "$D.lock" ] || return 1
	read_record
	[ "$R" != tomb ]
}

# unlocked RUN STEP: has a try of it ended with 0?
unlocked() {
	set +f
	for D in "$RUN/r-$1/s-$2"@*.lock; do
		set -f
		D=${D%.lock}
		read_record
		[ "$R" != end ] || [ "$R_RC" != 0 ] || return 0
	done
	set -f
	return 1
}

# give_back HOLDER...: the claim is again that of the run which we displaced.
give_back() {
	durable "$STATE/claim" "1 $*" || return 1
	if [ -f "$RUN/r-$1/lease" ] && [ ! -e "$RUN/r-$1/fired" ]; then start_watch "$1" "$2"; fi
}

# release ID RUN TERM MODE [STEP...]: done = the run's own things go, and those of
# other runs that owe nothing; while the lease can still unlock what nobody could
# reach it must not go with them; the STEPs, unlocks that it owes for all its
# tries, stay on record; all =
# those of every run; back = as done, or the claim goes back to whom it was taken
# from. "now" is in the lease's file.
release() {
	claim_lock
	read_claim
	if [ -n "$C_RUN" ] && ! owns "$2" "$3"; then
		fenced "$1"
		return
	fi
	if live_step "$2"; then
		fail "$1" busy "step '$STEP' is still running"
		return
	fi
	if [ "$4" = "done" ] && untried "$2" && unlocks_itself "$2" "$3"; then
		fail "$1" error "it still owes an unlock of which no try has ended; its lease unlocks it now"
		return
	fi
	holder=
	[ "$4" != back ] || [ ! -f "$STATE/r-$2/displaced" ] || read -r holder <"$STATE/r-$2/displaced"
	forgive "$2"
	if [ "$4" = "done" ] && [ $# -gt 4 ]; then keep_owed "$@"; else drop_run "$2"; fi
	# shellcheck disable=SC2086
	if [ -n "$holder" ] && give_back $holder; then
		say "$1" ok
		return
	fi
	set +f
	for r in "$RUN"/r-* "$STATE"/r-*; do
		set -f
		[ -d "$r" ] || continue
		r=${r##*/r-}
		! alive "$r" || continue
		if [ "$4" = all ] || ! owes "$r"; then drop_run "$r"; fi
	done
	set -f
	rm -f "$STATE/claim"
	[ ! -d "$STATE" ] || sync "$STATE"
	rmdir "$STATE" 2>/dev/null
	say "$1" ok
}

# untried RUN: does it owe an unlock of which no try has ended here?
untried() {
	[ -f "$STATE/r-$1/unlocks" ] || return 1
	while read -r line; do
		# shellcheck disable=SC2086
		! is_owed "$1" $line || tried "$1" $line || return 0
	done <"$STATE/r-$1/unlocks"
	return 1
}

# tried RUN WAVE STEP...: has any try of it ended?
tried() {
	set +f
	for D in "$RUN/r-$1/s-$3"@*.lock; do
		set -f
		D=${D%.lock}
		read_record
		[ "$R" != end ] || return 0
	done
	set -f
	return 1
}

# unlocks_itself RUN TERM: the lease, if it is armed, fires now.
unlocks_itself() {
	lease_state "$1"
	case $LEASE in
	armed)
		read -r _ gap grace <"$RUN/r-$1/lease"
		stop_watch "$1"
		push "$1" "$2" 0 "$gap" "$grace"
		;;
	firing) ;;
	*) return 1 ;;
	esac
}

# keep_owed ID RUN TERM MODE STEP...: the run is over and has not done these
# unlocks. Its record of them stays until somebody has, and so does what shows
# that they are owed.
keep_owed() {
	run=$2
	shift 4
	stop_watch "$run"
	rm -f "$RUN/r-$run/lease"
	[ -f "$STATE/r-$run/unlocks" ] || return 0
	kept=''
	while read -r wave_ s_ line; do
		for W; do
			[ "$W" != "$s_" ] || kept="$kept$wave_ $s_ $line$NL"
		done
	done <"$STATE/r-$run/unlocks"
	keep_unlocks "$run"
}

# keep_unlocks RUN: "kept" are the lines of what it still owes. One that owes
# nothing has no file.
keep_unlocks() {
	if [ -n "$kept" ]; then
		durable "$STATE/r-$1/unlocks" "${kept%"$NL"}"
	else
		rm -f "$STATE/r-$1/unlocks"
	fi
}

# forgive RUN: what it has unlocked, no other run owes any more.
forgive() {
	set +f
	for r in "$STATE"/r-*/unlocks; do
		set -f
		r=${r%/unlocks}
		r=${r##*/r-}
		[ "$r" != "$1" ] && [ -f "$STATE/r-$r/unlocks" ] || continue
		while read -r _ W _; do
			! unlocked "$1" "$W" || strike_out "$r" "$W"
		done <"$STATE/r-$r/unlocks"
	done
	set -f
}

# strike_out RUN STEP: the run does not owe that unlock any more.
strike_out() {
	kept=''
	while read -r wave_ s_ line; do
		[ "$s_" = "$2" ] || kept="$kept$wave_ $s_ $line$NL"
	done <"$STATE/r-$1/unlocks"
	keep_unlocks "$1"
}

# forget ID RUN STEP OWNRUN TERM: somebody vouches that the unlock which that
# other run owes is not needed any more.
forget() {
	claim_lock
	if ! owns "$4" "$5"; then
		fenced "$1"
		return
	fi
	if [ -f "$STATE/r-$2/unlocks" ] && ! strike_out "$2" "$3"; then
		fail "$1" error "cannot store in $STATE what is still owed"
		return
	fi
	say "$1" ok
}

# drop_run RUN: its folders go, and the timer of its lease.
drop_run() {
	stop_watch "$1"
	rm -rf "$RUN/r-$1" "$STATE/r-$1"
}

# owes RUN: is any unlock of it owed?
owes() {
	[ -f "$STATE/r-$1/unlocks" ] || return 1
	while read -r line; do
		# shellcheck disable=SC2086
		! is_owed "$1" $line || return 0
	done <"$STATE/r-$1/unlocks"
	return 1
}
