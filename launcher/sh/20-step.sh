# shellcheck shell=dash
# A step: one script, run once. Its files are all called D.something. Making
# D.lock decides who runs it; the lock on that file is held by the supervisor
# and by the keepers of the output, so a free lock means that everything has
# ended and all output is kept.
#
# This file is on the path of every script, so it counts its processes: a
# built-in command costs nothing, a program about a millisecond.

# create: makes D.lock; fails if it is there. No other call makes it, ever.
create() {
	set -C
	{ true >"$D.lock"; } 2>/dev/null
	created_=$?
	set +C
	return "$created_"
}

# step_main ID RUN STEP ATTEMPT TERM BY PATH DIGEST [NAME=VALUE...]
step_main() {
	id=$1 run=$2 step=$3 att=$4 term=$5 by=$6 path=$7 digest=$8
	shift 8
	names "$run" "$step" "$att"
	if ! create && ! { come_back "$run" "$term" "$step" && create; }; then
		existing "$id"
		return
	fi
	exec 9>"$D.lock"
	flock 9
	# A settle that came between create and flock has decided: never started.
	if [ -e "$D.record" ]; then
		say "$id" ok settled
		return
	fi
	if ! owns "$run" "$term"; then
		refuse "$id" fenced "the instance is claimed by run '$C_RUN' term $C_TERM, not by run '$run' term $term"
		return
	fi
	if [ -e "$RUN/r-$run/fired" ] && ! is_unlock "$run" "$step"; then
		refuse "$id" fired "the lease has fired: only unlock steps may start"
		return
	fi
	dec "$path"
	path=$W
	case $path in /*) ;; *) path=$PWD/$path ;; esac
	if [ "$digest" != - ]; then
		sum=$(sha256sum <"$path" 2>/dev/null)
		sum=${sum%% *}
		if [ "$sum" != "$digest" ]; then
			printf 'tomb digest:%s\n' "${sum:-unreadable}" >"$D.record"
			say "$id" ok settled
			return
		fi
	fi
	say "$id" ok started
	# From here on nothing of the control session is held open.
	exec 5>&- 6>&- >/dev/null 2>&1
	supervise "$@"
}

# come_back RUN TERM STEP: a reboot took the run's folder away, not its claim.
# What it locked must be unlocked all the same; nothing else of it may start
# here, for nobody knows what had been started before.
come_back() {
	[ ! -d "$RUN/r-$1" ] && is_unlock "$1" "$3" && owns "$1" "$2" &&
		mkdir -p "$RUN/r-$1" && : >"$RUN/r-$1/fired"
}

# existing ID: the step was there already. Whoever made it, to run or to settle
# it, may not have written yet which; that is a matter of milliseconds.
existing() {
	if [ ! -e "$D.lock" ]; then
		fail "$1" fenced "run '$run' has nothing on this instance: it holds no claim"
		return
	fi
	word='' tries=0
	while [ "$tries" -lt 40 ]; do
		[ ! -f "$D.record" ] || read -r word _ <"$D.record"
		[ -z "$word" ] || break
		sleep 0.05
		tries=$((tries + 1))
	done
	if [ "$word" = tomb ]; then
		say "$1" ok settled
	else
		say "$1" ok existed
	fi
}

# refuse ID CODE TEXT: takes the step back; nothing was run.
refuse() {
	rm -f "$D.lock"
	fail "$@"
}

# supervise [NAME=VALUE...]: descriptors 3 and 4 become the script's output.
supervise() {
	exec 7>"$D.record"
	{
		{
			run_and_record "$@" 4>&1 >/dev/null 2>"$D.notes" |
				keep err 3>&- 7>&- 2>/dev/null
		} 3>&1 | keep out 7>&- 2>/dev/null
	}
}

# run_and_record: the script runs in the foreground, so that INT and QUIT are
# not ignored in it, as they would be after "&".
run_and_record() {
	(launch "$@") >&3 2>&4 </dev/null
	rc=$?
	sig=-
	# The shell remarks on a command that a signal ended; an exit 137 is silent.
	[ "$rc" -le 128 ] || [ ! -s "$D.notes" ] || sig=$((rc - 128))
	now
	printf 'end %s %s %s .\n' "$rc" "$sig" "$UP" >&7
}

# launch: records who will run, then becomes the script in a session of its own.
launch() {
	whoami_
	now
	printf 'run %s %s %s %s %s\n' "$PID" "$TICKS" "$BOOT" "$UP" "$by" >&7
	exec 3>&- 4>&- 7>&- 9>&-
	cd / || exit 126
	unset PWD OLDPWD SHLVL # a shell's own, of no meaning to the script
	restore_caller
	for W in "$@"; do
		shift
		dec "$W"
		set -- "$@" "$W"
	done
	# Where sudo made this shell root, the script is what it was asked to run.
	[ -z "${SUDO_COMMAND+set}" ] || set -- "SUDO_COMMAND=$path" "$@"
	become "LOCKSTEP_STEP=$D" "$@" -- "$path"
}

# become NAME=VALUE... -- PATH: like env, without a process. Uses no variable,
# for any name may be exported.
become() {
	while [ "$1" != -- ]; do
		export "${1?}"
		shift
	done
	exec setsid "$2"
}

# whoami_: sets PID and TICKS (start time) of this very process; $$ would be
# the parent's.
whoami_() {
	read -r W </proc/self/stat
	PID=${W%% *}
	# shellcheck disable=SC2086
	set -- ${W##*) }
	shift 19
	TICKS=$1
}

# restore_caller: umask and locale as they were before the launcher changed them.
restore_caller() {
	umask "$UM"
	case $LC in
	=*) LC_ALL=${LC#=} ;;
	*) unset LC_ALL ;;
	esac
}

# keep NAME: keeps standard input in the files D.NAME.OFFSET: the first 256 KiB and the last MiB, never more, live. The rest is
# read and dropped, so that the script neither blocks nor fills the disk.
keep() {
	kind=$1 off=0 tail=0
	set --
	while dd bs=1024 count=256 of="$D.$kind.$off" 2>"$D.$kind-n"; do
		rec=0+0 n=0
		while read -r a b c; do
			case $b-$c in
			records-in) rec=$a ;;
			byte*-*) n=$a ;;
			esac
		done <"$D.$kind-n"
		# Fewer reads than asked for: that was the end.
		[ $((${rec%+*} + ${rec#*+})) -eq 256 ] || return 0
		[ "$off" -lt 262144 ] || {
			tail=$((tail + n))
			set -- "$@" "$off:$n"
		}
		while [ "$tail" -gt 1048576 ]; do
			rm -f "$D.$kind.${1%:*}"
			tail=$((tail - ${1#*:}))
			shift
		done
		off=$((off + n))
	done
	exec cat >/dev/null
}
