# shellcheck shell=dash
# Lockstep's launcher: runs the scripts of one instance so that they, their
# results and their unlocks outlive the connection that asked for them.
# Needs sh (dash or bash), coreutils, util-linux (flock, setsid), grep, tar,
# GNU find and xargs. PROTOCOL.md beside this file explains frames and folders.
#
# Descriptors: 5 frames to the client, 6 the token that only one writer of
# frames may hold, 7 a step's record, 8 the claim lock, 9 a step's lock.

NL='
'

# prepare VERB RUN STATE UMASK LC_ALL SH: what every verb needs.
prepare() {
	VERB=$1 RUN=$2 STATE=$3 UM=$4 LC=$5 SH=$6 L=$0
	set -f
	[ "$UM" != - ] || UM=$(umask)
	[ "$LC" != - ] || LC=${LC_ALL+=}${LC_ALL-unset}
	export LC_ALL=C
	umask 077
	read -r BOOT </proc/sys/kernel/random/boot_id
}

# take and give pass the token: a FIFO that holds one newline. It costs no fork.
# A client that is gone must not end the holder of the token, nor of the claim
# lock: whoever waits for them would wait for ever. A trap, unlike an ignored
# signal, is not passed on to what is started.
take() {
	trap : PIPE
	read -r _ <&6
}
give() { echo >&6; }

# say ID TYPE [WORD...]: a frame without payload. ID "-" asks for no answer.
say() {
	[ "$1" != - ] || return 0
	id_=$1 type_=$2
	shift 2
	[ "$type_" != ok ] || exec 8>&- # the last frame may wait for a slow client
	take
	printf '%s %s 0 %s\n' "$id_" "$type_" "$*" >&5
	give
}

# fail ID CODE TEXT: the final answer of a verb that did not work.
fail() {
	[ "$1" != - ] || return 0
	text_=$(printf '%.3000s' "$3")
	exec 8>&-
	take
	printf '%s no %s %s\n%s' "$1" "${#text_}" "$2" "$text_" >&5
	give
}

# dec WORD: sets W to the decoded word. "=abc" is verbatim; "%abc" has octal
# escapes for all but harmless bytes (the x keeps a trailing newline).
dec() {
	case $1 in
	%*)
		W=$(printf '%bx' "${1#%}")
		W=${W%x}
		;;
	*) W=${1#=} ;;
	esac
}

# now: sets UP (seconds since boot, as the kernel prints it) and CS (the same
# in hundredths, a whole number). The wall clock is never used to wait.
now() {
	read -r UP _ </proc/uptime
	CS=${UP%.*}${UP#*.}
}

# seconds CS: sets SEC to that many hundredths as decimal seconds.
seconds() {
	SEC=$(($1 % 100))
	[ "$SEC" -ge 10 ] || SEC=0$SEC
	SEC=$(($1 / 100)).$SEC
}

# names RUN STEP ATTEMPT: sets D, which is how its files' names begin and the
# value of LOCKSTEP_STEP in the environment of all that its script starts.
names() {
	D=$RUN/r-$1/s-$2@$3
}

# durable FILE TEXT: replaces FILE so that a crash leaves the old or the new.
durable() {
	printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync "${1%/*}"
}

# read_claim: sets C_RUN (empty: nobody has claimed) and the rest.
read_claim() {
	C_RUN='' C_TERM=0 C_SEEN=0 C_BOOT='' C_TIME=0 C_KEY='' C_OWNER=''
	[ -f "$STATE/claim" ] || return 0
	read -r _ C_RUN C_TERM C_SEEN C_BOOT C_TIME C_KEY C_OWNER <"$STATE/claim"
}

# owns RUN TERM: is this still the run that owns the instance?
owns() {
	read_claim
	[ "$C_RUN" = "$1" ] && [ "$C_TERM" = "$2" ]
}

# fenced ID: the answer when it is not.
fenced() {
	fail "$1" fenced "the instance is claimed by run '$C_RUN' term $C_TERM"
}

# is_unlock RUN STEP: is it one of the unlocks that the run has armed?
is_unlock() {
	[ -f "$STATE/r-$1/unlocks" ] || return 1
	while read -r _ s_ _; do
		[ "$s_" != "$2" ] || return 0
	done <"$STATE/r-$1/unlocks"
	return 1
}
