# shellcheck shell=dash
# What an archive of a folder would not carry as it is.

# lks_survey ID DIR: a line "used BYTES" of what the folder takes on its disk, a line
# "mount PATH", as the kernel writes it, for each mount, and
# one "LETTER NAME" for each of the first things that are neither file, folder nor
# link, with find's letter, or "long" and the beginning of a path that is longer than
# the kernel takes, behind "./". A newline in a name is shown as "?".
lks_survey() {
	lks_dec "$2"
	if lks_text=$(lks_odd "$lks_W" 2>&1); then
		lks_tell "$1" "$lks_text"
	else
		lks_fail "$1" error "$lks_text"
	fi
}

lks_odd() {
	lks_W=$(lks_mounted "$1") || return 1
	[ -z "$lks_W" ] || printf '%s\n' "$lks_W" | sed 's/^/mount /'
	cd -P -- "$1" && lks_W=$(du -s -B1 .) || return 1
	echo "used ${lks_W%%[!0-9]*}"
	lks_any_odd || return 0
	# What find cannot look into fails the inventory, which says it better. What cannot be kept before what is left out: there may be many of either.
	for lks_W in '-type p -o -type b -o -type c' '-type s'; do
		# shellcheck disable=SC2086
		find . \( $lks_W \) -printf '%y %P\0' 2>/dev/null | tr '\n\0' '?\n' | head -n 100
	done
	find . -mindepth 16 -printf '%P\0' 2>/dev/null | tr '\n\0' '?\n' | LC_ALL=C grep -a '.\{4094\}' | head -n 100 | cut -b 1-200 | sed 's/^/long /'
}

# lks_any_odd: is there anything of that in the working directory? Mostly there is
# not, and one program can say so. The pattern is of 4094 bytes behind "./", and more.
lks_any_odd() {
	lks_W='????????????????'
	for lks__ in 1 2 3 4 5 6 7 8; do lks_W=$lks_W$lks_W; done
	[ -n "$(find . \( -type p -o -type b -o -type c -o -type s -o -path "./${lks_W#??}*" \) -printf x -quit 2>/dev/null)" ]
}

# lks_traits ID DIR: lines "COUNT NAME" of what its entries have beside content, owner,
# mode and time. tar knows of all but flags, and does not read contents for nobody.
lks_traits() {
	lks_dec "$2"
	lks_tell "$1" "$(cd -P -- "$lks_W" && {
		tar --xattrs --xattrs-include='*' --acls --numeric-owner --quoting-style=escape -cvvvf /dev/null . |
			sed -n 's/^  x: [0-9]* //p'
		! command -v lsattr >/dev/null ||
			lsattr -aR . | sed -n '/^[-A-Za-z]\{16,\} \.\//{s/ .*//;s/[^aAcCdDijsStTu]//g;/./{s/./flag &\n/g;s/\n$//;p}}'
	} 2>/dev/null | lks_counted)"
}

# lks_counted: how often each of the lines is there. Mostly there is none, which is
# found out without a program.
lks_counted() {
	IFS= read -r lks_W || return 0
	{ printf '%s\n' "$lks_W" && cat; } | grep -v '^security.selinux$\|^trusted.overlay' | sort | uniq -c | head -n 100
}

# lks_tell ID TEXT: the good answer of a verb that has more to say than words.
lks_tell() {
	lks_text=$(printf '%.60000s' "$2")
	exec 8>&-
	lks_take
	printf '%s ok %s\n%s' "$1" "${#lks_text}" "$lks_text" >&5
	lks_give
}
