# shellcheck shell=dash
# Folders and files: what is done to artifacts. Paths come as encoded words.

# lks_displaced ID RUN TERM: answers if another run owns the instance now: what lies
# there is that one's. RUN is "-" where no claim was made.
lks_displaced() {
	[ "$2" != - ] || return 1
	if lks_owns "$2" "$3" || [ -z "$lks_C_RUN" ]; then return 1; fi
	lks_fenced "$1"
}

# lks_make_dir ID DIR RUN TERM TOP: DIR, which is TOP or in it.
lks_make_dir() {
	! lks_displaced "$1" "$3" "$4" || return 0
	lks_dec_dir "$5"
	lks_top=$lks_W
	lks_dec "$2"
	umask "$lks_UM"
	if lks_text=$({ lks_make_top "$lks_top" && mkdir -p -- "$lks_W"; } 2>&1); then
		lks_say "$1" ok
	else
		lks_fail "$1" error "$lks_text"
	fi
}

# lks_exists ID DIR: only "there is no such file" means no.
lks_exists() {
	lks_dec "$2"
	if lks_text=$(stat -c x -- "$lks_W" 2>&1); then
		lks_say "$1" ok yes
		return
	fi
	case $lks_text in
	*'No such file or directory' | *'Not a directory') lks_say "$1" ok no ;;
	*) lks_fail "$1" error "$lks_text" ;;
	esac
}

# lks_space ID DIR: free bytes where DIR is or will be.
lks_space() {
	lks_dec "$2"
	case $lks_W in /*) ;; *) lks_W=$PWD/$lks_W ;; esac
	lks_nearest
	if ! lks_free=$(df -B1 --output=avail -- "$lks_near" 2>&1); then
		lks_fail "$1" error "$lks_free"
		return
	fi
	# shellcheck disable=SC2086
	set -- "$1" ${lks_free##*"$lks_NL"}
	lks_say "$1" ok "$2"
}

# lks_nearest: sets NEAR to W, or to what is there of the way to it.
lks_nearest() {
	lks_near=$lks_W
	while [ -n "$lks_near" ] && [ ! -e "$lks_near" ]; do lks_near=${lks_near%/*}; done
	lks_near=${lks_near:-/}
}

# lks_fit ID DIR: what tools, exists, space and room say, by two programs: the free bytes
# where DIR will be, then as room. "ask" where anything is otherwise than it should be,
# or cannot be known: then those verbs say what.
lks_fit() {
	lks_dec "$2"
	case $lks_W in /*) ;; *) lks_W=$PWD/$lks_W ;; esac
	lks_id=$1
	lks_nearest
	lks_text=$(find "$lks_W" /dev/null -maxdepth 0 -printf 'it is there\n' 2>&1)
	case $lks_text in
	"it is there$lks_NL"*': No such file or directory' | *": No such file or directory${lks_NL}it is there")
		# shellcheck disable=SC2046
		set -- $(stat -f -c '%a %S %d %c' -- "$lks_near" "$lks_RUN")
		;;
	*) set -- ;;
	esac
	lks_find_missing
	if [ -n "$lks_missing" ] || [ $# != 8 ]; then
		lks_say "$lks_id" ok ask
		return
	fi
	[ "$8" != 0 ] || set -- "$1" "$2" "$3" "$4" "$5" "$6" 1000000 0
	lks_say "$lks_id" ok "$(($1 * $2))" "$(($5 * $6))" "$7"
}

# lks_tools ID: names what is missing here.
lks_tools() {
	lks_find_missing
	find /dev/null -printf '' >/dev/null 2>&1 || lks_missing="$lks_missing GNU-find"
	lks_say "$1" ok "$lks_missing"
}

# lks_find_missing: sets missing to the programs that are not there, without one.
lks_find_missing() {
	lks_missing=''
	for lks_t in setsid flock sha256sum tar find xargs dd stat df du sort sed cut od tr \
		uniq head mkfifo sync nproc grep env; do
		command -v "$lks_t" >/dev/null 2>&1 || lks_missing="$lks_missing $lks_t"
	done
}

# lks_tar_out DIR: the folder as a posix archive, times to the nanosecond, holes as
# holes. Records of 32 KiB take a third less CPU than the usual ones of 10, here and
# below. 97: the archive is
# whole, but something changed while it was read, if only the time of the last change
# of a file that lost a name elsewhere: whoever asked must look at all of it again.
lks_tar_out() {
	tar -b 64 -S --format=posix --pax-option=delete=atime,delete=ctime --numeric-owner \
		--no-xattrs --no-acls --no-selinux -C "$1" -cf - . && return
	lks_rc=$?
	[ "$lks_rc" = 1 ] || return "$lks_rc"
	return 97
}

# lks_begin_in RUN DIR: notes who unpacks there, and makes the folder.
lks_begin_in() {
	if ! lks_unpacking "$1" "$2" 2>/dev/null; then
		echo "cannot note in $lks_RUN what is unpacked: there is no room" >&2
		return 1
	fi
	(umask "$lks_UM" && mkdir -p -- "$2")
}

# lks_untar DIR [OPTION...]
lks_untar() {
	lks_dir=$1
	shift
	lks_owner=
	lks_effective_user
	[ "$lks_EUID" != 0 ] || lks_owner=--same-owner
	tar -b 64 -C "$lks_dir" -xp --numeric-owner $lks_owner --no-xattrs --no-acls --no-selinux "$@" -f -
}

# lks_place_in RUN DIR: unpacks, and then says what is there, as lks_inventory does.
lks_place_in() {
	lks_fresh=''
	[ -e "$2" ] || [ -L "$2" ] || lks_fresh=1
	lks_begin_in "$1" "$2" || return 1
	if lks_may_follow "$1" "$2"; then
		lks_untar_followed "$2"
	else
		lks_untar "$2"
	fi || return
	lks_inventory "$2" </dev/null
}

# lks_scripts_in RUN: scripts that the run brings along. They are durable before
# anything can be owed that needs them; one that is there, and may be owed by
# another run, is never without its text, whatever fails.
lks_scripts_in() {
	lks_new=$lks_STATE/scripts/new-$1
	rm -rf "$lks_new"
	lks_begin_in "$1" "$lks_new" && lks_untar "$lks_new" && lks_scripts_set "$lks_new"
	lks_rc=$?
	rm -rf "$lks_new"
	return "$lks_rc"
}

lks_scripts_set() {
	set +f
	sync "$1"/* && mv -f "$1"/* "$lks_STATE/scripts/" && sync "$lks_STATE/scripts" "$lks_STATE"
}

# lks_die_with_client: for streams that could block for ever on a pipe: when our
# standard input ends, the client is gone. $$ leads a session (see streamCommand).
lks_die_with_client() {
	exec 9<&0
	{
		cat <&9 >/dev/null
		kill -s KILL -- "-$$"
	} >/dev/null 2>&1 &
	exec 9<&- </dev/null
}

# lks_deal N NAME DIR: the archive in blocks of 2 MiB, dealt in turn to N channels:
# standard output and the pipes NAME.1 and so on, each read by another session.
lks_deal() {
	lks_begin_deal "$1" "$2"
	{
		lks_tar_out "$3"
		echo "$?" >"$lks_RUN/$2.rc"
	} | lks_deal_blocks "$1" "$lks_RUN/$2.dd"
	read -r lks_rc <"$lks_RUN/$2.rc"
	rm -f "$lks_RUN/$2.rc" "$lks_RUN/$2.dd"
	return "$lks_rc"
}

# lks_begin_deal N NAME: opens the pipes, as descriptors from 3 on.
lks_begin_deal() {
	lks_die_with_client
	lks_i=1
	while [ "$lks_i" -lt "$1" ]; do
		mkfifo "$lks_RUN/$2.$lks_i" 2>/dev/null
		eval "exec $((lks_i + 2))>\"\$lks_RUN/\$2.\$lks_i\""
		rm -f "$lks_RUN/$2.$lks_i"
		lks_i=$((lks_i + 1))
	done
}

# lks_deal_blocks N NOTES: dd tells in NOTES how much it copied; less is the end.
lks_deal_blocks() {
	lks_i=1
	while :; do
		lks_fd=1
		[ "$lks_i" = 1 ] || lks_fd=$((lks_i + 1))
		# shellcheck disable=SC2261
		dd bs=256K count=8 iflag=fullblock >&"$lks_fd" 2>"$2" || return 1
		read -r lks_rec <"$2"
		[ "${lks_rec%% *}" = 8+0 ] || return 0
		lks_i=$((lks_i % $1 + 1))
	done
}

# lks_deal_reader NAME I: one of the other channels.
lks_deal_reader() {
	lks_die_with_client
	mkfifo "$lks_RUN/$1.$2" 2>/dev/null
	cat "$lks_RUN/$1.$2"
}
