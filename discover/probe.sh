# The probe: finds job scripts on an instance, runs metadata scripts, and prints
# frames. It is sent as one word of a command line; nothing of it stays.
#
# Output: the marker and a NUL, then frames of four fields, each ended by a NUL
# (name, argument, code, length in bytes), with that many bytes behind them:
#   missing  tools that are not there (argument); nothing else follows
#   folders  stderr and exit code of listing job folders
#   list     stderr and exit code of listing scripts in them
#   files    the scripts' paths, each ended by a NUL
#   sums     what sha256sum says of them, in their order
#   sumerr   stderr and exit code of that
#   modes    mode and path, each ended by a NUL, of scripts and their folders that
#            everybody may write to, and of scripts that nobody may execute
#   stdout   of the metadata script that is the argument, with its exit code;
#            a code that begins with t means that it did not end in time
#   stderr   likewise
#   end      always the last
# Only tools of POSIX, coreutils and findutils, in any of their versions, are
# used; every loop over names goes through NUL-separated lists or "$@".

# An empty file, the usual case of stderr, costs no process.
emit='emit() {
	if [ ! -s "$4" ]; then
		printf "%s\0" "$1" "$2" "$3" 0
		return
	fi
	size=$(($(wc -c <"$4")))
	printf "%s\0" "$1" "$2" "$3" "$size"
	head -c "$size" "$4"
}
'

# Lists the scripts of the job folders "$@" on stdout, those with a mode worth
# telling on descriptor 3. $0 is the way from a job folder to its scripts.
# The "/." makes find follow a job folder that is a symbolic link.
list='for folder do
	shift
	set -- "$@" "$folder$0/."
done
find "$@" -maxdepth 1 ! -type l \( -perm -0002 -o -type f ! -perm -0100 ! -perm -0010 ! -perm -0001 \) \
	-printf "%m\\0%p\\0" >&3 2>/dev/null
find "$@" -mindepth 1 -maxdepth 1 -type f \( -name metadata -o -name pre-backup-lock -o -name backup \
	-o -name post-backup-unlock -o -name pre-restore-lock -o -name restore -o -name post-restore-unlock \) -print0'

# Runs the script $0, bounded in what it prints: stdout is cut, which ends a
# script that prints for ever, stderr is drained. The exit code has a file of
# its own, because the pipes live as long as any child that holds them. At its
# deadline the script is sent TERM; what reads from it is not, so that nothing
# that was printed is lost: this shell ends when they have seen the end.
run='trap : TERM
{ { { "$0" 2>&3 3>&-; echo "$?" >"$1/code"; } | { trap "" TERM; exec head -c 1048577 >"$1/out"; }; } 3>&1; } |
	{ trap "" TERM; head -c 65536 >"$1/err"; cat >/dev/null; }'

# Runs the metadata scripts among "$@", except those of jobs in $quiet and of
# jobs whose names will be refused anyway.
ask='tmp=$1 head=$2 tail=$3 version=$4 limit=$5 quiet=$6 run=$7
shift 7
for file do
	case $file in */./metadata) ;; *) continue ;; esac
	job=${file#"$head"}
	job=${job%"$tail"}
	case $job in *[!A-Za-z0-9._-]*) continue ;; esac
	case " $quiet " in *" $job "*) continue ;; esac
	: >"$tmp/code"
	: >"$tmp/out"
	: >"$tmp/err"
	BBR_VERSION=$version timeout -k 2 "$limit" sh -c "$run" "${file%/./metadata}/metadata" "$tmp" </dev/null
	code=t$?
	# After a KILL the output is not complete, whatever the script said.
	case $code in t0 | t124) [ ! -s "$tmp/code" ] || read -r code <"$tmp/code" ;; esac
	emit stdout "$file" "$code" "$tmp/out"
	emit stderr "$file" "$code" "$tmp/err"
done'

probe() {
	marker=$1 base=$2 pattern=$3 hidden=$4 rest=$5
	shift 5
	printf '%s\0' "$marker"
	missing=
	for tool in find xargs sha256sum timeout mktemp wc head cat rm; do
		command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
	done
	if [ -n "$missing" ]; then
		printf '%s\0' missing "$missing" 1 0 end '' 0 0
		return
	fi
	tmp=$(mktemp -d) || exit 1
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 1' HUP INT TERM PIPE
	eval "$emit"

	LC_ALL=C find -H "$base" -mindepth 1 -maxdepth 1 -name "$pattern" ! -name "$hidden" -print0 >"$tmp/folders" 2>"$tmp/err"
	emit folders '' "$?" "$tmp/err"
	LC_ALL=C xargs -0 -r sh -c "$list" "$rest" <"$tmp/folders" >"$tmp/files" 2>"$tmp/err" 3>"$tmp/modes"
	emit list '' "$?" "$tmp/err"
	LC_ALL=C xargs -0 -r sha256sum -- <"$tmp/files" >"$tmp/sums" 2>"$tmp/err"
	emit sumerr '' "$?" "$tmp/err"
	emit files '' 0 "$tmp/files"
	emit sums '' 0 "$tmp/sums"
	emit modes '' 0 "$tmp/modes"
	xargs -0 -r sh -c "$emit$ask" lockstep "$tmp" "$@" "$run" <"$tmp/files"
	code=$?
	: >"$tmp/out"
	emit end '' "$code" "$tmp/out"
}

probe "$@"
