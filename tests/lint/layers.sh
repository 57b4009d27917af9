#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Proves that the layers hold. Daemon: each include that the layers forbid fails to compile with the flags the directory is
# built with, and each they allow compiles. Kernel: its files include downwards only, in the order of docs/DESIGN.md.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
make --no-print-directory build/inc/.made > /dev/null || exit 1
rc=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The order that must hold, written down a second time on purpose: the Makefile's lists are what is being checked.
declare -A may=(
	[base]="base"
	[format]="base format"
	[store]="base store"
	[transport]="base io.h uapi transport"
	[volume]="base io.h format store volume"
	[server]="base io.h uapi format store transport volume server"
	[nbd]="base io.h uapi format store transport volume server nbd"
	[cmd]="base io.h uapi format store transport volume server cmd"
)
all="base io.h uapi format store transport volume server nbd cmd"

# A header of each, to include.
header_of() {
	case $1 in
	io.h) echo io.h ;;
	uapi) echo uapi/zerofs.h ;;
	*) (cd daemon && ls "$1"/*.h 2>/dev/null | head -1) ;;
	esac
}

tried=0
for dir in "${!may[@]}"; do
	for other in $all; do
		h=$(header_of "$other")
		[ -n "$h" ] || continue
		echo "#include \"$h\"" > "$tmp/try.c"
		if gcc -std=gnu11 -D_GNU_SOURCE= -Ibuild/inc/"$dir" -fsyntax-only "$tmp/try.c" 2> "$tmp/err"; then got=yes; else got=no; fi
		case " ${may[$dir]} " in *" $other "*) want=yes ;; *) want=no ;; esac
		tried=$((tried + 1))
		if [ $got != $want ]; then
			echo "daemon/$dir: include of \"$h\": compiles: $got, must: $want"
			cat "$tmp/err"
			rc=1
		fi
	done
done
[ $tried -ge 20 ] || { echo "only $tried includes were tried"; rc=1; }

if grep -nE '#include "(\.\./|daemon/)' -r daemon; then
	echo "a path in an include goes round the layers"
	rc=1
fi

# kernel/: what a file of a level may include, by its base name. A file may include its own header and those of lower levels;
# the same level where the list says so.
declare -A level=(
	[ring]=1 [arena]=1 [queue]=2 [blk]=3 [dev]=4 [state]=5 [session]=5 [devs]=5 [qfd]=5 [ctl]=6 [stats]=6 [main]=7 [compat]=0 [zerofs]=0
)
for f in kernel/*.[ch]; do
	me=$(basename "$f")
	me=${me%.*}
	if [ -z "${level[$me]:-}" ]; then
		echo "$f: has no level; give it one in $0 and in docs/DESIGN.md"
		rc=1
		continue
	fi
	while read -r inc; do
		other=$(basename "$inc" .h)
		[ "$other" != "$me" ] || continue
		if [ "$other" = zerofs_config ]; then
			[ "$me" = compat ] || { echo "$f: only compat.h may include $inc"; rc=1; }
		elif [ -z "${level[$other]:-}" ]; then
			echo "$f: includes $inc, which has no level"
			rc=1
		elif [ "${level[$other]}" -gt "${level[$me]}" ]; then
			echo "$f (level ${level[$me]}) includes $inc (level ${level[$other]})"
			rc=1
		fi
	done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include "([^"]+)".*/\1/p' "$f")
done
exit $rc
