# shellcheck shell=dash
# Where it begins. The call comes last: a truncated text runs nothing.

# lks_serve: the control session. One verb a line, "ID VERB WORD...", in; frames out.
lks_serve() {
	lks_SESS=$lks_RUN/sess-$$
	trap lks_leave EXIT
	trap 'exit 1' HUP TERM INT
	# One of our number is a leftover: a container's numbers begin anew at its restart.
	[ ! -e "$lks_SESS" ] || rm -rf "$lks_SESS"
	mkdir "$lks_SESS" && mkfifo "$lks_SESS/token" || return 93
	exec 5>&1 6<>"$lks_SESS/token" >&2
	lks_give
	lks_epoch=$(date +%s.%N)
	lks_now
	lks_BOOTED=$((${lks_epoch%.*} - lks_CS / 100)) # in seconds of the wall clock, as it is now
	lks_take
	printf '0 hello %s %s %s %s %s\n%s' "$((${#lks_RUN} + ${#PWD}))" "$lks_BOOT" "$lks_UP" "$lks_epoch" "${#lks_RUN}" "$lks_RUN$PWD" >&5
	lks_give
	while IFS=' ' read -r lks_id lks_verb lks_args; do
		jobs >/dev/null
		case $lks_id in '' | *[!0-9]*) continue ;; esac
		[ ! -e "$lks_SESS/heard" ] || lks_heard
		# shellcheck disable=SC2086
		lks_dispatch "$lks_id" "$lks_verb" $lks_args
	done
}

# lks_dispatch ID VERB WORD...: what starts scripts does so without "&" on the way,
# because sh makes the children of "&" ignore INT and QUIT for ever.
lks_dispatch() {
	lks_id=$1 lks_verb=$2
	shift 2
	set -- "$lks_id" "$@"
	case $lks_verb in
	start)
		lks_attend "$2"
		setsid -f "$lks_SH" "$lks_L" step "$lks_RUN" "$lks_STATE" "$lks_UM" "$lks_LC" "$lks_SH" "$@" </dev/null
		;;
	arm)
		lks_attend "$2"
		(lks_arm "$@")
		;;
	renew)
		lks_attend "$2"
		(lks_renew "$@")
		;;
	claim | release | forget | status | settle | exists | space | fit | survey | traits | tools | room | lend) lks_beside "lks_$lks_verb" "$@" ;;
	wait) lks_beside lks_wait_step "$@" ;;
	kill) lks_beside lks_kill_verb "$@" ;;
	mkdir) lks_beside lks_make_dir "$@" ;;
	rmdir) lks_beside lks_remove_dir "$@" ;;
	still) lks_still "$@" ;;
	ping)
		lks_attend "$2"
		lks_say "$lks_id" ok
		;;
	cancel) true >"$lks_SESS/c-$2" ;;
	*) lks_fail "$lks_id" error "no such verb: $lks_verb" ;;
	esac
}

# lks_beside FUNCTION ID WORD...: a verb that may take its time has a process.
lks_beside() {
	("$@") &
	eval "lks_p_$lks_id=$!"
}

# lks_still ID VERB: is there still a process that answers the verb of that id?
lks_still() {
	case $2 in
	'' | *[!0-9]*) lks_W='' ;;
	*) eval "lks_W=\${lks_p_$2-}" ;;
	esac
	if [ -n "$lks_W" ] && kill -0 "$lks_W" 2>/dev/null; then
		lks_say "$1" ok yes
	else
		lks_say "$1" ok no
	fi
}

# lks_room ID: free bytes, and free names, where runs are noted.
lks_room() {
	# shellcheck disable=SC2046
	set -- "$1" $(stat -f -c '%a %S %d %c' "$lks_RUN")
	if [ $# = 5 ]; then
		[ "$5" != 0 ] || set -- "$1" "$2" "$3" 1000000
		lks_say "$1" ok "$(($2 * $3))" "$4"
	else
		lks_fail "$1" error "cannot measure the room in $lks_RUN"
	fi
}

# lks_attend RUN: whoever speaks here drives that run, if any; see lks_live_session.
lks_attend() {
	[ "$1" = - ] || [ -e "$lks_SESS/heard" ] || lks_speak_for "$1"
}

# lks_speak_for RUN: says so by the name of a file, for which there is always room.
lks_speak_for() {
	lks_heard
	true >"$lks_SESS/for-$1"
}

# lks_heard: whoever speaks here has just done so.
lks_heard() {
	lks_now
	echo "$lks_CS" 2>/dev/null >"$lks_SESS/heard"
}

# lks_leave: the session is over. The last one to go leaves nothing, unless a run
# still has something here. Every session holds the run folder's lock shared,
# from before it looks for the launcher's file there, and so does all that it
# starts and that needs the folder; only who gets it alone tidies up. What answers
# a verb may take a while to end, and nothing may keep us from waiting for it.
lks_leave() {
	trap '' HUP TERM INT
	rm -rf "$lks_SESS"
	exec 3<&-
	! lks_in_use || return
	{ command exec 3<"$lks_RUN"; } 2>/dev/null && flock -w 10 3 || return
	! lks_in_use || return
	rm -rf "$lks_RUN"/sess-* "$lks_RUN"/launcher-* "$lks_RUN"/helper-* "$lks_RUN"/new-* "$lks_RUN"/claim.lock
	rmdir "$lks_RUN" 2>/dev/null
}

# lks_in_use: does a run or another session need the run folder?
lks_in_use() {
	set +f
	for lks_W in "$lks_RUN"/sess-* "$lks_RUN"/r-*; do
		case $lks_W in
		*/sess-*)
			# A zombie is not a session.
			{ read -r lks_s <"/proc/${lks_W##*-}/stat"; } 2>/dev/null || continue
			case ${lks_s##*) } in Z*) ;; *) return 0 ;; esac
			;;
		*) [ ! -e "$lks_W" ] || return 0 ;;
		esac
	done
	return 1
}

lks_run_verb() {
	case $lks_VERB in
	serve) lks_serve ;;
	watch) lks_watch_main "$@" ;;
	lease-unlock) lks_unlock_main "$@" ;;
	deal-reader) lks_deal_reader "$3" "$4" ;;
	tar-out | place-in | scripts-in | inventory | pack | deal | helper-in | lent-*) lks_stream "$@" ;;
	*) return 64 ;;
	esac
}

# lks_stream RUN TERM [WORD...] PATH: these have a session of their own. Of a run
# that no longer owns the instance nothing is moved, and nothing counts as moved
# that it owned only at the beginning.
lks_stream() {
	lks_run=$1 lks_term=$2
	shift 2
	case $lks_STATE in /*) ;; *) lks_STATE=$PWD/$lks_STATE ;; esac
	# An inventory calls the launcher's file again.
	case $lks_VERB in inventory | place-in) ! { command exec 3<"$lks_RUN"; } 2>/dev/null || flock -s -w 5 3 ;; esac
	case $lks_VERB in *-in) lks_hold_streams "$lks_run" || return 96 ;; esac
	lks_owned || return 96
	eval "lks_dec \"\${$#}\""
	case $lks_VERB in
	tar-out) lks_tar_out "$lks_W" ;;
	place-in) lks_place_in "$lks_run" "$lks_W" ;;
	scripts-in) lks_scripts_in "$lks_run" ;;
	inventory) lks_inventory "$lks_W" ;;
	pack) lks_pack "$lks_W" ;;
	deal) lks_deal "$1" "$2" "$lks_W" ;;
	helper-in) lks_helper_in "$lks_W" ;;
	lent-in) lks_lent_in "$lks_run" "$lks_W" "$1" ;;
	lent-pack) lks_lent "$lks_W" "$1" pack ;;
	lent-list) lks_lent "$lks_W" "$1" list ;;
	lent-deal) lks_lent_deal "$1" "$2" "$3" "$lks_W" ;;
	esac
	lks_rc=$?
	lks_owned || return 96
	return "$lks_rc"
}

# lks_owned: is the stream's run still the owner? A run of "-" never claimed.
lks_owned() {
	[ "$lks_run" != - ] || return 0
	lks_owns "$lks_run" "$lks_term" && return 0
	echo "the instance is claimed by run '$lks_C_RUN' term $lks_C_TERM, not by run '$lks_run' term $lks_term" >&2
	return 1
}

case $1 in
hash | follow | digest-apart | digest-here | remove) # parts of verbs, in processes of their own
	lks_L=$0 lks_W=$1
	shift
	case $lks_W in
	hash) lks_hash_some "$@" ;;
	follow) lks_follow "$@" ;;
	digest-apart) lks_SH=$1 && lks_digest_apart ;;
	digest-here) lks_digest_here "$@" ;;
	remove) lks_remove "$@" ;;
	esac
	;;
*)
	lks_prepare "$@"
	shift 6
	lks_run_verb "$@"
	;;
esac
exit
