# shellcheck shell=dash
# The helper: a program that is lent to the instance for the length of a run, and does
# in one pass what takes tar, find and sha256sum several. It lies beside this text, and
# goes with it.

# lks_lend ID BYTES: the kind of machine, if there is room for so much. A quarter of the
# file system, or 64 MiB, is left to records.
lks_lend() {
	lks_id=$1 lks_n=$2
	# shellcheck disable=SC2046
	set -- $(stat -f -c '%a %b %S' "$lks_RUN")
	[ $# = 3 ] || set -- 0 4 1
	lks_W=$(($2 / 4 * $3))
	[ "$lks_W" -lt 67108864 ] || lks_W=67108864
	if [ $(($1 * $3 - lks_n)) -lt "$lks_W" ]; then
		lks_fail "$lks_id" error "there is no room in $lks_RUN"
	elif lks_text=$(command -v gzip 2>&1 && uname -m 2>&1); then
		lks_say "$lks_id" ok "${lks_text##*"$lks_NL"}"
	else
		lks_fail "$lks_id" error "gzip or uname is missing"
	fi
}

# lks_helper_in DIGEST: nothing else becomes a program here, and only one that this
# machine can run, where the file system lets it.
lks_helper_in() {
	lks_t=$lks_RUN/new-helper-$$
	if ! gzip -dc >"$lks_t"; then
		echo 'it did not arrive' >&2
	elif ! lks_s=$(sha256sum <"$lks_t") || [ "${lks_s%% *}" != "$1" ]; then
		echo 'it was changed on its way, or cannot be digested' >&2
	elif ! chmod 0700 "$lks_t" || [ "$("$lks_t" version)" != 'lockstep-helper 2' ]; then
		echo 'it cannot be run there' >&2
	elif mv -f "$lks_t" "$lks_RUN/helper-$1"; then
		return 0
	fi
	rm -f "$lks_t"
	return 1
}

# lks_lent DIR DIGEST WORD...: the helper's verb, in that folder. 98: there is no helper,
# and nothing was said.
lks_lent() {
	lks_has_helper "$2" || return 98
	cd -P -- "$1" || return 1
	lks_W=$lks_RUN/helper-$2
	shift 2
	"$lks_W" "$@"
	lks_rc=$?
	case $lks_rc in 64 | 126 | 127) return 98 ;; esac
	return "$lks_rc"
}

lks_has_helper() {
	[ ! -x "$lks_RUN/helper-$1" ] || return 0
	echo 'the helper is not there any more' >&2
	return 1
}

# lks_lent_in RUN DIR DIGEST: place-in by the helper.
lks_lent_in() {
	lks_has_helper "$3" || return 98
	lks_begin_in "$1" "$2" && lks_lent "$2" "$3" place
}

# lks_lent_deal N NAME DIGEST DIR: deal by the helper, whose blocks are as large.
lks_lent_deal() {
	lks_begin_deal "$1" "$2"
	lks_lent "$4" "$3" deal "$1"
}

# lks_drop_helper: it goes with the run.
lks_drop_helper() {
	set +f
	for lks_r in "$lks_RUN"/helper-* "$lks_RUN"/new-helper-*; do
		set -f
		[ ! -e "$lks_r" ] || rm -f "$lks_r"
	done
	set -f
}
