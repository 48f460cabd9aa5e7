# shellcheck shell=dash
# Where it begins. The call comes last: a truncated text runs nothing.

# serve: the control session. One verb a line, "ID VERB WORD...", in; frames out.
serve() {
	SESS=$RUN/sess-$$
	trap leave EXIT
	trap 'exit 1' HUP TERM INT
	mkdir "$SESS" && mkfifo "$SESS/token" || return 93
	exec 5>&1 6<>"$SESS/token" >&2
	give
	epoch=$(date +%s.%N)
	now
	BOOTED=$((${epoch%.*} - CS / 100)) # in seconds of the wall clock, as it is now
	take
	printf '0 hello %s %s %s %s %s\n%s' "$((${#RUN} + ${#PWD}))" "$BOOT" "$UP" "$epoch" "${#RUN}" "$RUN$PWD" >&5
	give
	while IFS=' ' read -r id verb args; do
		jobs >/dev/null
		case $id in '' | *[!0-9]*) continue ;; esac
		[ ! -e "$SESS/run" ] || heard
		# shellcheck disable=SC2086
		dispatch "$id" "$verb" $args
	done
}

# dispatch ID VERB WORD...: what starts scripts does so without "&" on the way,
# because sh makes the children of "&" ignore INT and QUIT for ever.
dispatch() {
	id=$1 verb=$2
	shift 2
	set -- "$id" "$@"
	case $verb in
	start)
		attend "$2"
		setsid -f "$SH" "$L" step "$RUN" "$STATE" "$UM" "$LC" "$SH" "$@" </dev/null
		;;
	arm)
		attend "$2"
		(arm "$@")
		;;
	renew)
		attend "$2"
		(renew "$@")
		;;
	claim) (claim "$@") & ;;
	release) (release "$@") & ;;
	forget) (forget "$@") & ;;
	wait) (wait_step "$@") & ;;
	status) (status "$@") & ;;
	settle) (settle "$@") & ;;
	kill) (kill_verb "$@") & ;;
	mkdir) (make_dir "$@") & ;;
	rmdir) (remove_dir "$@") & ;;
	exists) (exists "$@") & ;;
	space) (space "$@") & ;;
	tools) (tools "$@") & ;;
	ping)
		attend "$2"
		say "$id" ok
		;;
	cancel) true >"$SESS/c-$2" ;;
	*) fail "$id" error "no such verb: $verb" ;;
	esac
}

# attend RUN: whoever speaks here drives that run, if any; see live_session.
attend() {
	[ "$1" != - ] && [ ! -e "$SESS/run" ] || return 0
	heard
	echo "$1" >"$SESS/run"
}

# heard: whoever speaks here has just done so.
heard() {
	now
	echo "$CS" >"$SESS/heard"
}

# leave: the session is over. The last one to go leaves nothing, unless a run
# still has something here.
leave() {
	rm -rf "$SESS"
	set +f
	for W in "$RUN"/sess-* "$RUN"/r-*; do
		case $W in
		*/sess-*)
			# A zombie is not a session.
			{ read -r s <"/proc/${W##*-}/stat"; } 2>/dev/null || continue
			case ${s##*) } in Z*) ;; *) return ;; esac
			;;
		*) [ ! -e "$W" ] || return ;;
		esac
	done
	rm -rf "$RUN"/sess-* "$RUN"/launcher-* "$RUN"/claim.lock
	rmdir "$RUN" 2>/dev/null
}

run_verb() {
	case $VERB in
	serve) serve ;;
	watch) watch_main "$@" ;;
	lease-unlock) unlock_main "$@" ;;
	deal-reader) deal_reader "$3" "$4" ;;
	tar-out | tar-in | inventory | pack | deal) stream "$@" ;;
	*) return 64 ;;
	esac
}

# stream RUN TERM [WORD...] PATH: these have a session of their own. Of a run
# that no longer owns the instance nothing is moved, and nothing counts as moved
# that it owned only at the beginning.
stream() {
	run=$1 term=$2
	shift 2
	case $STATE in /*) ;; *) STATE=$PWD/$STATE ;; esac
	[ "$VERB" != tar-in ] || hold_streams "$run" || return 96
	owned || return 96
	eval "dec \"\${$#}\""
	case $VERB in
	tar-out) tar_out "$W" ;;
	tar-in) tar_in "$W" ;;
	inventory) inventory "$W" ;;
	pack) pack "$W" ;;
	deal) deal "$1" "$2" "$W" ;;
	esac
	rc=$?
	owned || return 96
	return "$rc"
}

# owned: is the stream's run still the owner? A run of "-" never claimed.
owned() {
	[ "$run" != - ] || return 0
	owns "$run" "$term" && return 0
	echo "the instance is claimed by run '$C_RUN' term $C_TERM, not by run '$run' term $term" >&2
	return 1
}

if [ "$1" = hash ]; then
	shift
	hash_some "$@"
else
	prepare "$@"
	shift 6
	run_verb "$@"
fi
exit
