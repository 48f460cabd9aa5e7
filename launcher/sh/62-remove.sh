# shellcheck shell=dash
# Removal: only what lies in a folder of ours, never what is mounted there.

# lks_mounted DIR: prints what is mounted on that folder or below it, one a line, as
# the kernel writes it. A folder that is mounted a second time is there too.
lks_mounted() {
	[ -d "$1" ] && [ ! -L "$1" ] || return 0
	lks_base=$(cd -P -- "$1" && pwd -P && echo .) || return 1
	lks_base=${lks_base%"$lks_NL".}
	case $lks_base in
	*[!A-Za-z0-9/._-]*) lks_base=$(printf '%s' "$lks_base" | sed -z 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g; s/\n/\\012/g') ;;
	esac
	while read -r lks__ lks__ lks__ lks__ lks_W lks__; do
		case $lks_W in "$lks_base" | "$lks_base"/*) printf '%s\n' "$lks_W" ;; esac
	done </proc/self/mountinfo
}

# lks_gone DIR: removes it and what is in it. With mounts of its own, in which
# nothing appears any more once it has looked: what others mount meanwhile it does
# not see. Where that is not allowed, jobs cannot mount either.
lks_gone() {
	unshare -m "$lks_SH" "$lks_L" remove "$1" 2>/dev/null
	case $? in
	0) return 0 ;;
	97 | 98) return 1 ;;
	esac
	"$lks_SH" "$lks_L" remove "$1"
}

# lks_remove DIR: lks_gone in a process of its own: 97 and what is mounted there, or
# 98 and what find or rm says. The mark goes last: what is left when this fails, or is
# cut off, is still known to be ours.
lks_remove() {
	exec 2>&1
	lks_text=$(lks_mounted "$1") || return 98
	if [ -n "$lks_text" ]; then
		printf 'mounted there: %s' "$lks_text"
		return 97
	fi
	if [ -f "$1/.lockstep" ]; then
		case $1 in /*) lks_W=$1 ;; *) lks_W=./$1 ;; esac # find takes a name like "(" for its own
		find "$lks_W" -xdev -mindepth 2 -delete &&
			find "$lks_W" -xdev -mindepth 1 -maxdepth 1 ! -name .lockstep -delete || return 98
	fi
	rm -rf --one-file-system -- "$1" || return 98
}

# lks_dec_dir WORD: lks_dec, without slashes at its end: behind those a link is
# followed, by rm too.
lks_dec_dir() {
	lks_dec "$1"
	while [ "$lks_W" != "${lks_W%/}" ]; do lks_W=${lks_W%/}; done
}

# lks_remove_dir ID DIR RUN TERM: what still unpacks there is stopped first.
lks_remove_dir() {
	! lks_displaced "$1" "$3" "$4" || return 0
	lks_dec_dir "$2"
	lks_dir=$lks_W
	if ! lks_end_unpacking "$3" "$lks_dir"; then
		lks_fail "$1" busy 'what unpacks into it cannot be stopped'
	elif lks_text=$(lks_mounted "$lks_dir") && [ -z "$lks_text" ] && ! lks_ours "$lks_dir"; then
		lks_fail "$1" foreign 'it was not made for a run'
	elif lks_text=$(lks_gone "$lks_dir"); then
		lks_say "$1" ok
	else
		case $lks_text in
		'mounted there: '*) lks_fail "$1" mounted "${lks_text#*: }" ;;
		*) lks_fail "$1" error "$lks_text" ;;
		esac
	fi
}

# lks_ours DIR: was it made for a run, or is it in a folder that was? That is known by
# the mark in it; the contract's own folder needs none, and a link is not followed.
lks_ours() {
	case ${1%/} in
	bbr-backup | */bbr-backup | bbr-backup/* | */bbr-backup/*) return 0 ;;
	*/*) [ ! -f "${1%/*}/.lockstep" ] || return 0 ;;
	esac
	[ -L "$1" ] || [ ! -e "$1" ] || [ -f "$1/.lockstep" ] || rmdir -- "$1" 2>/dev/null
}

# lks_make_top DIR: the folder of all artifacts, with the mark that we made it, which
# the contract's own folder needs not: scripts find there what the original puts
# there. That one is made with what lies in it.
lks_make_top() {
	case ${1%/} in bbr-backup | */bbr-backup) return 0 ;; esac
	[ ! -d "$1" ] || return 0
	case $1 in ?*/*) [ -d "${1%/*}" ] || mkdir -p -- "${1%/*}" || return 1 ;; esac
	! mkdir -- "$1" 2>/dev/null || true >"$1/.lockstep"
}

# lks_unpacking RUN DIR: holds the lock of who unpacks there, in descriptor 8, and
# is known by its mark.
lks_unpacking() {
	[ "$1" != - ] || return 0
	LOCKSTEP_INTO=$(printf '%s' "$2" | sha256sum)
	export LOCKSTEP_INTO="${LOCKSTEP_INTO%% *}"
	exec 8>>"$lks_RUN/r-$1/into-$LOCKSTEP_INTO" && flock -x -w 5 8 && printf '%s' "$2" >"$lks_RUN/r-$1/into-$LOCKSTEP_INTO"
}

# lks_end_unpacking RUN DIR: stops what unpacks for the run into DIR, or into a folder in it.
lks_end_unpacking() {
	set +f
	for lks_lock in "$lks_RUN/r-$1"/into-*; do
		[ -e "$lks_lock" ] || continue
		case $(cat "$lks_lock")/ in "${2%/}"/*) ;; *) continue ;; esac
		lks_tries=0
		while ! flock -n "$lks_lock" true; do
			[ "$lks_tries" -lt 100 ] || return 1
			grep -lzxF -- "LOCKSTEP_INTO=${lks_lock##*/into-}" /proc/[0-9]*/environ 2>/dev/null |
				while IFS=/ read -r lks__ lks__ lks_W lks__; do kill -s KILL "$lks_W" 2>/dev/null; done
			lks_tries=$((lks_tries + 1))
			sleep 0.05
		done
	done
	set -f
}
