# shellcheck shell=dash
# The environment: the launcher's own programs do the same whatever a login says
# to tools; its scripts see what the login exports, byte for byte.

# What says to tools, or to cd, to do something else. "had" is put before such a name
# where its value waits for the scripts.
lks_AWAY='BLOCKSIZE BLOCK_SIZE CDPATH DF_BLOCK_SIZE DU_BLOCK_SIZE GREP_OPTIONS POSIXLY_CORRECT QUOTING_STYLE TAPE TAR_OPTIONS TIME_STYLE _POSIX2_VERSION'

# lks_put_away: what is started from here on does not see them. Calling it again, or
# in what is started, changes nothing.
lks_put_away() {
	for lks_W in $lks_AWAY; do
		eval "[ -z \"\${$lks_W+set}\" ] || lks_put_away_one \"\$$lks_W\""
	done
}

# lks_put_away_one VALUE: of the name in W. Some are there without anybody's wish, and
# not exported: a bash that is called sh has POSIXLY_CORRECT, and is a different shell
# without it; zsh has CDPATH.
lks_put_away_one() {
	case $lks_W in
	POSIXLY_CORRECT | CDPATH)
		case $(export -p) in *" $lks_W="*) ;; *) return 0 ;; esac
		;;
	esac
	export "lks_had_$lks_W=$1"
	if [ "$lks_W" != POSIXLY_CORRECT ] || ! (export -n lks_W) 2>/dev/null; then
		unset "$lks_W"
	else
		export -n "$lks_W"
	fi
}

# lks_restore_caller: umask, locale and environment as they were before.
lks_restore_caller() {
	umask "$lks_UM"
	case $lks_LC in
	=*) LC_ALL=${lks_LC#=} ;;
	*) unset LC_ALL ;;
	esac
	for lks_W in $lks_AWAY; do
		eval "[ -z \"\${lks_had_$lks_W+set}\" ] || { export \"$lks_W=\$lks_had_$lks_W\" && unset lks_had_$lks_W; }"
	done
}
