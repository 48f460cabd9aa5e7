# shellcheck shell=dash
# Inventories: what a folder holds, with a digest of each file.

# lks_inventory DIR: every entry as three fields ended by NUL, a field "end", then
# lines of sha256sum, one at least for every regular file, by any of its names, then
# "done".
lks_inventory() {
	cd -P -- "$1" && lks_listing && lks_digests && echo 'done'
}

# lks_listing: the entries; "kinds" gets a letter of lks_kinds_of for each of some.
lks_listing() {
	{ lks_kinds=$(lks_kinds_of -printf '%y %m %U %G %T@ %s %D %i %n\0%P\0%l\0' , 7>&1 >&4); } 4>&1 && printf 'end\0'
}

# lks_kinds_of [EXPRESSION ,]: a letter for each folder in which others may change names
# (W), for each file of 10 MB or more (B), other large one (L), one of middle size (M)
# and any other (S), and for each name of several (N), to descriptor 7, which must be a
# pipe: nobody can open a socket again.
# Whatever is asked on the way costs no walk of its own.
lks_kinds_of() {
	lks_effective_user
	lks_W=/proc/self/fd/7
	find . "$@" -type d \( ! -uid "$lks_EUID" -o -perm /022 \) -fprintf "$lks_W" W -o -type f \
		\( -links +1 -fprintf "$lks_W" N , -size +9999999c -fprintf "$lks_W" B -o -size +8191 -fprintf "$lks_W" L \
		-o -size +127 -fprintf "$lks_W" M -o -fprintf "$lks_W" S \)
}

# lks_pack DIR: of a small folder the inventory, then the archive, in one session.
lks_pack() {
	lks_small=1
	lks_inventory "$1" && lks_tar_out .
}

# lks_digests: sha256sum follows links, also one that somebody puts in a file's place
# just before it is opened. So where others may change names, files are opened over a
# mount of our own that follows none, else one by one, slowly, by a program that can
# be told so.
lks_digests() {
	case $lks_kinds in
	*W*) ;;
	*)
		lks_take_followed
		lks_digest_all
		return
		;;
	esac
	if unshare -m true 2>/dev/null; then
		unshare -m "$lks_SH" "$lks_L" digest-apart "$lks_SH"
		lks_rc=$?
		[ "$lks_rc" = 95 ] || return "$lks_rc"
	fi
	find . -type f -execdir "$lks_SH" "$lks_L" digest-here "$(pwd -P)" {} +
}

# lks_digest_apart: 95 where such a mount cannot be made.
lks_digest_apart() {
	lks_W=$(pwd -P && echo .) || return 95
	lks_W=${lks_W%"$lks_NL".}
	lks_n=$(grep -c nosymfollow /proc/self/mountinfo)
	mount --bind -- "$lks_W" "$lks_W" 2>/dev/null &&
		mount -o remount,bind,nodev,nosymfollow -- "$lks_W" 2>/dev/null &&
		cd -- "$lks_W" && [ "$(grep -c nosymfollow /proc/self/mountinfo)" -gt "$lks_n" ] || return 95
	lks_kinds=$(lks_kinds_of 7>&1) && lks_digest_all || return 1
}

# lks_digest_here BASE NAME...: files of the working directory, which find has entered
# without following anything.
lks_digest_here() {
	lks_base=$1
	shift
	lks_W=$(pwd -P && echo .)
	lks_W=${lks_W%"$lks_NL".}/
	for lks_t; do
		lks_s=$({ {
			dd if="$lks_t" iflag=nofollow,nonblock bs=256K status=none
			echo "$?" >&3
		} | sha256sum; } 3>&1) || return 1
		case $lks_s in "0$lks_NL"*) ;; *) return 1 ;; esac
		lks_s=${lks_s#*"$lks_NL"}
		lks_line "${lks_s%% *}" ".${lks_W#"$lks_base"}${lks_t#./}"
	done
}

# lks_line SUM PATH: as sha256sum writes it.
lks_line() {
	case $2 in
	*[\\"$lks_NL"]*) printf '\\%s  %s\n' "$1" "$(printf '%s' "$2" | sed -z 's/\\/\\\\/g; s/\n/\\n/g')" ;;
	*) printf '%s  %s\n' "$1" "$2" ;;
	esac
}

# lks_digest_all: of every file below the working directory. openssl is several times
# as fast with large files, and slow to begin. Few files, or little in them, are not
# worth a second process.
lks_digest_all() {
	case $lks_kinds in
	*N*) ;;
	*[BLM]*) [ -z "${lks_small-}" ] ;;
	*) [ "${#lks_kinds}" -gt 1000 ] ;;
	esac || {
		find . -type f -exec sha256sum -- {} +
		return
	}
	lks_tool=sha256sum
	! command -v openssl >/dev/null 2>&1 || lks_tool=openssl
	lks_cores=$(nproc)
	# Mostly there are few of a kind, and then few processes are started for them.
	case $lks_kinds in *[BL]*) lks_hash_all 1 "$lks_tool" -size +8191 ${lks_followed:+-size -10000000c} || return 1 ;; esac
	case $lks_kinds in *M*) lks_hash_all 32 "$lks_tool" -size +127 -size -8192 || return 1 ;; esac
	lks_hash_all 1000 sha256sum -size -128
}

# lks_hash_all N TOOL PREDICATE...: digests of those files, N a call, on all cores. Of
# the names of one file only one is taken.
lks_hash_all() {
	lks_n=$1 lks_t=$2
	shift 2
	case $lks_kinds in
	*N*) find . -type f "$@" -printf '%D:%i %p\0' | sort -z -u -t ' ' -k 1,1 | sed -z 's/^[^ ]* //' ;;
	*) find . -type f "$@" -print0 ;;
	esac | xargs -0 -r -s 400000 -n "$lks_n" -P "$lks_cores" "$lks_SH" "$lks_L" hash "$lks_t"
}

# lks_hash_some TOOL PATH...: their lines, all at once: those of parallel calls must not
# mix. A file that cannot be read is an error.
lks_hash_some() {
	lks_t=$1
	shift
	if [ "$lks_t" = openssl ]; then
		lks_sums=$(openssl dgst -sha256 -binary "$@" | od -An -v -tx1 -w32 | tr -d ' ')
		lks_lines=$(for lks_s in $lks_sums; do
			[ $# != 0 ] || return 1
			lks_line "$lks_s" "$1"
			shift
		done && [ $# = 0 ]) || return 1
	else
		lks_lines=$(sha256sum -- "$@") || return 1
	fi
	exec 9<"$lks_L" && flock 9 && printf '%s\n' "$lks_lines"
}

# What is unpacked is digested behind the unpacking: a large file while it grows, from
# where it lies. The rest, which takes no time, is digested when all is there; and all
# of it, where anything is not as it should be for this.

# lks_may_follow RUN DIR: DIR is new, and nobody else can put anything in it: a name
# cannot come to be another file's. Sets UNPACKS, a file that is there while tar is,
# and SUMS, what has been digested.
lks_may_follow() {
	[ -n "$lks_fresh" ] && [ "$1" != - ] && [ "$((0$lks_UM & 022))" = 18 ] || return 1
	lks_unpacks=$lks_RUN/r-$1/unpacks-$LOCKSTEP_INTO lks_sums=$lks_RUN/r-$1/sums-$LOCKSTEP_INTO
	{ true >"$lks_unpacks" && true >"$lks_sums"; } 2>/dev/null
}

# lks_untar_followed DIR: tar tells of each member when it begins with it, so that a
# file is followed by its size. A name that tar writes otherwise is not followed.
lks_untar_followed() {
	lks_tool=sha256sum
	! command -v openssl >/dev/null 2>&1 || lks_tool=openssl
	lks_rc=$({
		{
			lks_untar "$1" -vv --quoting-style=escape <&6
			echo "$?" >&7
			rm -f "$lks_unpacks"
		} | sed -un 's|^-[^ ]* [^ ]* *\([0-9]\{8,\}\) [-0-9]* [0-9:]* \(\./[^\\]*\)$|\1\n\2|p' |
			(cd -- "$1" && xargs -d '\n' -r -n 2 -P "$(nproc)" "$lks_SH" "$lks_L" follow "$lks_unpacks" "$lks_sums" "$lks_tool") >&2
	} 6<&0 7>&1 </dev/null)
	return "${lks_rc:-1}"
}

# lks_follow UNPACKS SUMS TOOL SIZE PATH: the digest of a file that grows to SIZE. It is
# not noted where it does not, or stands still for a minute.
lks_follow() {
	lks_unpacks=$1 lks_t=$3 lks_size=$4 lks_turns=0
	until { command exec 7<"$5"; } 2>/dev/null; do
		[ -e "$lks_unpacks" ] && [ "$lks_turns" -lt 1200 ] || return 0
		lks_turns=$((lks_turns + 1))
		sleep 0.05
	done
	lks_s=$(lks_growing | lks_hash_stream) || return 0
	lks_position
	[ "$lks_pos" != "$lks_size" ] || printf '%s  %s\n' "$lks_s" "$5" >>"$2"
}

# lks_growing: what is read of descriptor 7 until it has come to its size. A look costs
# two programs, so they are frequent only when the end is near.
lks_growing() {
	lks_pos=-1 lks_turns=0
	while [ "$lks_turns" -lt 240 ]; do
		lks_over=0 lks_was=$lks_pos
		[ -e "$lks_unpacks" ] || lks_over=1
		cat <&7
		lks_position
		[ "$lks_pos" -lt "$lks_size" ] && [ "$lks_over" = 0 ] || return 0
		lks_turns=$((lks_turns + 1))
		[ "$lks_pos" = "$lks_was" ] || lks_turns=0
		if [ $((lks_size - lks_pos)) -lt $((2 * (lks_pos - lks_was))) ]; then sleep 0.05; else sleep 0.25; fi
	done
}

# lks_position: sets pos, how far descriptor 7 was read.
lks_position() {
	read -r lks__ lks_pos </proc/self/fdinfo/7
}

# lks_hash_stream: the digest of standard input, by the tool t.
lks_hash_stream() {
	if [ "$lks_t" = openssl ]; then
		lks_s=$(openssl dgst -sha256 -r)
	else
		lks_s=$(sha256sum)
	fi
	echo "${lks_s%% *}"
}

# lks_take_followed: prints what has been digested behind the unpacking, if it is of
# every file of 10 MB.
lks_take_followed() {
	[ -n "${lks_sums-}" ] || return 0
	lks_n=$(printf %s "$lks_kinds" | tr -cd B | wc -c)
	while read -r lks__; do lks_n=$((lks_n - 1)); done <"$lks_sums"
	case $lks_n$lks_kinds in
	*N*) ;;
	0*B*) cat "$lks_sums" && lks_followed=1 ;;
	esac
	rm -f "$lks_sums"
}
