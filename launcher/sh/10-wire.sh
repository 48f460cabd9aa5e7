# shellcheck shell=dash
# Lockstep's launcher: runs the scripts of one instance so that they, their
# results and their unlocks outlive the connection that asked for them.
# Needs sh (dash or bash), coreutils, util-linux (flock, setsid), grep, tar,
# GNU find and xargs. PROTOCOL.md beside this file explains frames and folders.
#
# Descriptors: 5 frames to the client, 6 the token that only one writer of
# frames may hold, 7 a step's record, 8 the claim lock, 9 a step's lock.
#
# Names: whatever a login exports must reach the scripts byte for byte, and a
# shell exports again what it assigns to an exported name. So every variable and
# every function here begins with lks_, which nobody uses; comments leave that
# out of variables' names. Ordinary names are touched in these places only:
#   LC_ALL                  is C here; lks_restore_caller puts it back
#   those of lks_AWAY       see 15-environment.sh
#   PWD OLDPWD SHLVL        a shell's own; lks_launch takes them out
#   SUDO_COMMAND            the script, where sudo set it to this shell
#   LOCKSTEP_STEP           the mark of all that a step starts
#   LOCKSTEP_INTO           the mark of what unpacks into a folder; no script has it
#   IFS                     before one command and for that one only

lks_NL='
'

# lks_prepare VERB RUN STATE UMASK LC_ALL SH: what every verb needs.
lks_prepare() {
	lks_VERB=$1 lks_RUN=$2 lks_STATE=$3 lks_UM=$4 lks_LC=$5 lks_SH=$6 lks_L=$0
	lks_hasty=''
	set -f
	[ "$lks_UM" != - ] || lks_UM=$(umask)
	[ "$lks_LC" != - ] || lks_LC=${LC_ALL+=}${LC_ALL-unset}
	export LC_ALL=C
	lks_put_away
	umask 077
	read -r lks_BOOT </proc/sys/kernel/random/boot_id
	# A container that is started anew has the boot id of its machine, and another
	# first process.
	if { read -r lks_W </proc/1/stat; } 2>/dev/null; then
		lks_ticks "$lks_W"
		lks_BOOT=$lks_BOOT.$lks_TICKS
	fi
}

# lks_ticks STAT: sets TICKS, when the process of that line in /proc started.
lks_ticks() {
	# shellcheck disable=SC2086
	set -- ${1##*) }
	shift 19
	lks_TICKS=$1
}

# take and give pass the token: a FIFO that holds one newline. It costs no fork.
# A client that is gone must not end the holder of the token, nor of the claim
# lock: whoever waits for them would wait for ever. A trap, unlike an ignored
# signal, is not passed on to what is started.
lks_take() {
	trap : PIPE
	read -r lks__ <&6
}
lks_give() { echo >&6; }

# lks_say ID TYPE [WORD...]: a frame without payload. ID "-" asks for no answer.
lks_say() {
	[ "$1" != - ] || return 0
	lks_id_=$1 lks_type_=$2
	shift 2
	case $lks_type_ in ok | held) exec 8>&- ;; esac # the last frame may wait for a slow client
	lks_take
	printf '%s %s 0 %s\n' "$lks_id_" "$lks_type_" "$*" >&5
	lks_give
}

# lks_fail ID CODE TEXT: the final answer of a verb that did not work.
lks_fail() {
	[ "$1" != - ] || return 0
	lks_text_=$(printf '%.3000s' "$3")
	exec 8>&-
	lks_take
	printf '%s no %s %s\n%s' "$1" "${#lks_text_}" "$2" "$lks_text_" >&5
	lks_give
}

# lks_dec WORD: sets W to the decoded word. "=abc" is verbatim; "%abc" has octal
# escapes for all but harmless bytes (the x keeps a trailing newline).
lks_dec() {
	case $1 in
	%*)
		lks_W=$(printf '%bx' "${1#%}")
		lks_W=${lks_W%x}
		;;
	*) lks_W=${1#=} ;;
	esac
}

# lks_now: sets UP (seconds since boot, as the kernel prints it) and CS (the same
# in hundredths, a whole number). The wall clock is never used to wait.
lks_now() {
	read -r lks_UP lks__ </proc/uptime
	lks_CS=${lks_UP%.*}${lks_UP#*.}
}

# lks_seconds CS: sets SEC to that many hundredths as decimal seconds.
lks_seconds() {
	lks_SEC=$(($1 % 100))
	[ "$lks_SEC" -ge 10 ] || lks_SEC=0$lks_SEC
	lks_SEC=$(($1 / 100)).$lks_SEC
}

# lks_names RUN STEP ATTEMPT: sets D, which is how its files' names begin and the
# value of LOCKSTEP_STEP in the environment of all that its script starts.
lks_names() {
	lks_D=$lks_RUN/r-$1/s-$2@$3
}

# lks_durable FILE TEXT: replaces FILE so that a crash leaves the old or the new.
lks_durable() {
	printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync "${1%/*}"
}

# lks_read_claim: sets C_RUN (empty: nobody has claimed) and the rest.
lks_read_claim() {
	lks_C_RUN='' lks_C_TERM=0 lks_C_SEEN=0 lks_C_BOOT='' lks_C_TIME=0 lks_C_KEY='' lks_C_OWNER=''
	[ -f "$lks_STATE/claim" ] || return 0
	read -r lks__ lks_C_RUN lks_C_TERM lks_C_SEEN lks_C_BOOT lks_C_TIME lks_C_KEY lks_C_OWNER <"$lks_STATE/claim"
	# What is not a term counts as none; see lockstep.MaxTerm.
	lks_is_term "$lks_C_TERM" || lks_C_TERM=0
	lks_is_term "$lks_C_SEEN" || lks_C_SEEN=0
}

# lks_is_term WORD: is it a number that every shell can count with, and add to?
lks_is_term() {
	case $1 in
	'' | *[!0-9]* | ???????????????????*) return 1 ;;
	esac
}

# lks_owns RUN TERM: is this still the run that owns the instance?
lks_owns() {
	lks_read_claim
	[ "$lks_C_RUN" = "$1" ] && [ "$lks_C_TERM" = "$2" ]
}

# lks_fenced ID: the answer when it is not.
lks_fenced() {
	lks_fail "$1" fenced "the instance is claimed by run '$lks_C_RUN' term $lks_C_TERM"
}

# lks_is_unlock RUN STEP: is it one of the unlocks that the run has armed?
lks_is_unlock() {
	[ -f "$lks_STATE/r-$1/unlocks" ] || return 1
	while read -r lks__ lks_s_ lks__; do
		[ "$lks_s_" != "$2" ] || return 0
	done <"$lks_STATE/r-$1/unlocks"
	return 1
}

# lks_rebooted RUN: did that run claim this instance in an earlier boot? Or has what
# no reboot outlives been lost in another way? Nobody knows then what was started.
lks_rebooted() {
	[ -f "$lks_STATE/r-$1/boot" ] || return 1
	read -r lks_W <"$lks_STATE/r-$1/boot"
	[ "$lks_W" != "$lks_BOOT" ] || [ ! -e "$lks_RUN/r-$1/began" ]
}

# lks_effective_user: sets lks_EUID, without a program.
lks_effective_user() {
	while read -r lks_W lks__ lks_EUID lks__; do
		[ "$lks_W" != Uid: ] || return 0
	done </proc/self/status
	return 1
}
