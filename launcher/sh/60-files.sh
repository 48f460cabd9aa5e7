# shellcheck shell=dash
# Folders and files: what is done to artifacts. Paths come as encoded words.

# displaced ID RUN TERM: answers if another run owns the instance now: what lies
# there is that one's. RUN is "-" where no claim was made.
displaced() {
	[ "$2" != - ] || return 1
	if owns "$2" "$3" || [ -z "$C_RUN" ]; then return 1; fi
	fenced "$1"
}

# make_dir ID DIR RUN TERM, remove_dir ID DIR RUN TERM
make_dir() {
	! displaced "$1" "$3" "$4" || return 0
	dec "$2"
	umask "$UM"
	if text=$(mkdir -p -- "$W" 2>&1); then say "$1" ok; else fail "$1" error "$text"; fi
}

remove_dir() {
	! displaced "$1" "$3" "$4" || return 0
	dec "$2"
	if text=$(rm -rf -- "$W" 2>&1); then say "$1" ok; else fail "$1" error "$text"; fi
}

# exists ID DIR: only "there is no such file" means no.
exists() {
	dec "$2"
	if text=$(stat -c x -- "$W" 2>&1); then
		say "$1" ok yes
		return
	fi
	case $text in
	*'No such file or directory' | *'Not a directory') say "$1" ok no ;;
	*) fail "$1" error "$text" ;;
	esac
}

# space ID DIR: free bytes where DIR is or will be, and the bytes DIR uses.
space() {
	dec "$2"
	case $W in /*) ;; *) W=$PWD/$W ;; esac
	dir=$W near=$W used=0
	while [ -n "$near" ] && [ ! -e "$near" ]; do near=${near%/*}; done
	if ! free=$(df -B1 --output=avail -- "${near:-/}" 2>&1); then
		fail "$1" error "$free"
		return
	fi
	if [ -e "$dir" ] && ! used=$(du -s -B1 -- "$dir" 2>&1); then
		fail "$1" error "$used"
		return
	fi
	# shellcheck disable=SC2086
	set -- "$1" ${free##*"$NL"} ${used%%[!0-9]*}
	say "$1" ok "$2" "$3"
}

# tools ID: names what is missing here.
tools() {
	missing=''
	for t in setsid flock sha256sum tar find xargs dd stat df du sort sed cut od tr \
		head mkfifo sync nproc grep env; do
		command -v "$t" >/dev/null 2>&1 || missing="$missing $t"
	done
	find /dev/null -printf '' >/dev/null 2>&1 || missing="$missing GNU-find"
	say "$1" ok "$missing"
}

# tar_out DIR: the folder as a posix archive, times to the nanosecond. Records
# of 32 KiB take a third less CPU than the usual ones of 10, here and below. What
# the environment says of tar and cd is for people.
tar_out() {
	TAR_OPTIONS='' tar -b 64 --format=posix --pax-option=delete=atime,delete=ctime --numeric-owner \
		--no-xattrs --no-acls --no-selinux -C "$1" -cf - .
}

# tar_in DIR
tar_in() {
	(umask "$UM" && mkdir -p -- "$1") || return 1
	owner=
	[ "$(id -u)" != 0 ] || owner=--same-owner
	TAR_OPTIONS='' tar -b 64 -C "$1" -xp --numeric-owner $owner --no-xattrs --no-acls --no-selinux -f -
}

# die_with_client: for streams that could block for ever on a pipe: when our
# standard input ends, the client is gone. $$ leads a session (see main).
die_with_client() {
	exec 9<&0
	{
		cat <&9 >/dev/null
		kill -s KILL -- "-$$"
	} >/dev/null 2>&1 &
	exec 9<&- </dev/null
}

# deal N NAME DIR: the archive in blocks of 2 MiB, dealt in turn to N channels:
# standard output and the pipes NAME.1 and so on, each read by another session.
deal() {
	die_with_client
	i=1
	while [ "$i" -lt "$1" ]; do
		mkfifo "$RUN/$2.$i" 2>/dev/null
		eval "exec $((i + 2))>\"\$RUN/\$2.\$i\""
		rm -f "$RUN/$2.$i"
		i=$((i + 1))
	done
	{
		tar_out "$3"
		echo "$?" >"$RUN/$2.rc"
	} | deal_blocks "$1" "$RUN/$2.dd"
	read -r rc <"$RUN/$2.rc"
	rm -f "$RUN/$2.rc" "$RUN/$2.dd"
	return "$rc"
}

# deal_blocks N NOTES: dd tells in NOTES how much it copied; less is the end.
deal_blocks() {
	i=1
	while :; do
		fd=1
		[ "$i" = 1 ] || fd=$((i + 1))
		# shellcheck disable=SC2261
		dd bs=256K count=8 iflag=fullblock >&"$fd" 2>"$2" || return 1
		read -r rec <"$2"
		[ "${rec%% *}" = 8+0 ] || return 0
		i=$((i % $1 + 1))
	done
}

# deal_reader NAME I: one of the other channels.
deal_reader() {
	die_with_client
	mkfifo "$RUN/$1.$2" 2>/dev/null
	cat "$RUN/$1.$2"
}

# inventory DIR: every entry as three fields ended by NUL, a field "end", then
# a line "DEVICE:INODE SHA256" for every regular file's inode, then "done".
inventory() {
	CDPATH='' cd "$1" || return 1
	listing || return 1
	TOOL=shasum
	! command -v sha256sum >/dev/null 2>&1 || TOOL=sha256sum
	! command -v openssl >/dev/null 2>&1 || TOOL=openssl
	cores=$(nproc)
	# A letter for each large file and each name of several: mostly there are
	# none, and then no processes are started for them.
	kinds=$(find . -type f \( \( -size +4194303c -printf L \) , \( -links +1 -printf M \) \)) || return 1
	case $kinds in *L*) hash_all 2 -size +4194303c || return 1 ;; esac
	hash_all 64 -size -4194304c && echo 'done'
}

listing() {
	find . -printf '%y %m %U %G %T@ %s %D %i %n\0%P\0%l\0' && printf 'end\0'
}

# pack DIR: of a small folder the inventory, then the archive, in one session. Its
# digests are lines of sha256sum, by path, each name of a file for itself: that
# takes two programs where the inventory takes ten.
pack() {
	CDPATH='' cd "$1" && listing && find . -type f -exec sha256sum -- {} + && echo 'done' && tar_out .
}

# hash_all N PREDICATE...: digests of those files, N/2 a call, on all cores.
# Pairs of key and path; of the names of one inode only one is taken.
hash_all() {
	n=$1
	shift
	{
		find . -type f -links 1 "$@" -printf '%D:%i\0%p\0'
		case $kinds in *M*)
			find . -type f -links +1 "$@" -printf '%D:%i %p\0' |
				sort -z -u -t ' ' -k 1,1 | sed -z 's/ /\x00/'
			;;
		esac
	} | xargs -0 -r -s 400000 -n "$n" -P "$cores" "$SH" "$L" hash "$TOOL"
}

# hash_some TOOL [KEY PATH]...: one write of at most 4 KiB, so that the lines
# of parallel calls do not mix. A file that cannot be read is an error.
hash_some() {
	tool=$1 keys='' n=0
	shift
	all=$#
	while [ "$n" -lt "$all" ]; do
		case $1 in *[!0-9:]* | '') return 255 ;; esac
		keys="$keys $1"
		set -- "$@" "$2"
		shift 2
		n=$((n + 2))
	done
	case $tool in
	openssl) sums=$(openssl dgst -sha256 -binary "$@" | od -An -v -tx1 -w32 | tr -d ' ') ;;
	sha256sum) sums=$(sha256sum "$@" | sed 's/^\\//' | cut -c1-64) ;;
	*) sums=$(shasum -a 256 "$@" | sed 's/^\\//' | cut -c1-64) ;;
	esac
	lines=''
	# shellcheck disable=SC2086
	set -- $sums
	for key in $keys; do
		[ ${#1} = 64 ] || return 1
		lines="$lines$key $1$NL"
		shift
	done
	[ $# = 0 ] && printf '%s' "$lines"
}
