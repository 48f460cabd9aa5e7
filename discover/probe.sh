# The probe: finds job scripts on an instance, runs metadata scripts, and prints
# frames. It is sent as one word of a command line; nothing of it stays.
#
# Output: the marker and a NUL, then frames of four fields, each ended by a NUL
# (name, argument, code, length in bytes), with that many bytes behind them:
#   missing  tools that are not there (argument); nothing else follows
#   list     exit code of listing and digesting the scripts of jobs, and what was
#            complained of
#   scripts  of each script the line of sha256sum; and "mode MODE PATH", a line each,
#            of scripts and their folders that everybody may write to, and of scripts
#            that nobody may execute
#   stdout   of the metadata script that is the argument, with its exit code;
#            a code that begins with t means that it did not end in time
#   stderr   likewise
#   end      always the last
# Only tools of POSIX, coreutils and findutils, in any of their versions, are
# used. A line has no newline in a name: sha256sum writes it otherwise, and the modes
# of such names are left out, for they are refused.
#
# An instance pays for programs and not for forks, so there are few: where no job has
# metadata, two times find, sh and sha256sum.

# Prints a frame: NAME ARGUMENT CODE TEXT. A length is one in bytes where LC_ALL is C.
frame() {
	printf "%s\0" "$1" "$2" "$3" "${#4}"
	printf %s "$4"
}

# The same with a file. An empty one, the usual case of stderr, costs no process.
emit() {
	if [ ! -s "$4" ]; then
		printf "%s\0" "$1" "$2" "$3" 0
		return
	fi
	size=$(($(wc -c <"$4")))
	printf "%s\0" "$1" "$2" "$3" "$size"
	head -c "$size" "$4"
}

# Lists and digests the scripts of the job folders "$@". $0 is the way from a job
# folder to its scripts. The "/." makes find follow a job folder that is a symbolic link.
# The braces stand apart, for this whole text is a word of another find.
list='for folder do
	shift
	set -- "$@" "$folder$0/."
done
find "$@" -maxdepth 1 ! -type l \( \
	\( -perm -0002 -o -type f ! -perm -0100 ! -perm -0010 ! -perm -0001 \) ! -path "*
*" -printf "mode %m %p\\n" , \
	-type f \( -name metadata -o -name pre-backup-lock -o -name backup -o -name post-backup-unlock \
	-o -name pre-restore-lock -o -name restore -o -name post-restore-unlock \) -exec sha256sum -- "{""}" + \)'

# Lists all that is to be known of files on stdout, and prints the frame of that on
# descriptor 4.
look() {
	LC_ALL=C
	export LC_ALL
	complaint=$(find -H "$1" -mindepth 1 -maxdepth 1 -name "$2" ! -name "$3" -exec sh -c "$list" "$4" {} + 2>&1 >&5 4>&- 5>&-)
	frame list "" "$?" "$complaint" >&4
}

# Runs the script $0, bounded in what it prints: stdout is cut, which ends a
# script that prints for ever, stderr is drained. The exit code has a file of
# its own, because the pipes live as long as any child that holds them. At its
# deadline the script is sent TERM; what reads from it is not, so that nothing
# that was printed is lost: this shell ends when they have seen the end.
run='trap : TERM
{ { { "$0" 2>&3 3>&-; echo "$?" >"$1/code"; } | { trap "" TERM; exec head -c 1048577 >"$1/out"; }; } 3>&1; } |
	{ trap "" TERM; head -c 65536 >"$1/err"; cat >/dev/null; }'

# Runs the metadata scripts among those lines of sha256sum, except those of jobs in
# QUIET and of jobs whose names will be refused anyway: TMP HEAD TAIL VERSION LIMIT QUIET.
ask() {
	tmp=$1 head=$2 tail=$3 version=$4 limit=$5 quiet=$6
	while IFS= read -r file; do
		case $file in [!0-9a-f]*) continue ;; esac # of a name that sha256sum writes otherwise, or a mode
		file=${file#*  }
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
	done
}

probe() {
	marker=$1 base=$2 pattern=$3 hidden=$4 rest=$5
	shift 5
	printf '%s\0' "$marker"
	missing=
	for tool in find sha256sum timeout mktemp wc head cat rm; do
		command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
	done
	if [ -n "$missing" ]; then
		printf '%s\0' missing "$missing" 1 0 end '' 0 0
		return
	fi
	exec 4>&1
	scripts=$(look "$base" "$pattern" "$hidden" "$rest" 5>&1)
	exec 4>&-
	(LC_ALL=C && export LC_ALL && frame scripts '' 0 "$scripts")
	case $scripts in
	*/./metadata*)
		tmp=$(mktemp -d) || exit 1
		trap 'rm -rf "$tmp"' EXIT
		trap 'exit 1' HUP INT TERM PIPE
		printf '%s\n' "$scripts" | ask "$tmp" "$@"
		;;
	esac
	printf '%s\0' end '' 0 0
}

probe "$@"
