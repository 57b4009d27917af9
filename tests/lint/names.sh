#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file exports only names that begin with its own: daemon/X/foo.c foo_* (or foo), kernel/foo.c zerofs_foo_*. What it may
# export besides, each for a reason, is listed here.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
targets=(build/gcc/zerofs)
plugin=daemon/nbd/plugin.c	# which is no part of that, and needs nbdkit's header
pkg-config --exists nbdkit && targets+=("build/gcc/${plugin%.c}.o")
make --no-print-directory -j2 "${targets[@]}" > /dev/null || exit 1
rc=0

also() { # FILE: a regular expression of further names
	case $1 in
	daemon/volume/volume_*.c) echo 'volume_.*' ;;				# volume.h is one contract in several files
	daemon/volume/keys_*.c) echo 'keys_.*' ;;				# keys.h likewise
	*) echo main ;;
	esac
}

check() { # OBJECT PREFIX ALLOWED-EXTRA
	nm --defined-only -g --format=posix "$1" | awk -v p="$2" -v x="$3" -v o="$1" '
		$2 ~ /^[TDBRCVW]$/ && $1 !~ "^" p "(_|$)" && $1 !~ "^(" x ")$" { print o ": exports " $1 ", must begin with " p "_"; bad = 1 }
		END { exit bad }' || rc=1
}
for f in daemon/*/*.c daemon/*/*/*.c; do
	[ -e "$f" ] || continue
	[ "$f" != $plugin ] || [ ${#targets[@]} = 2 ] || continue
	check "build/gcc/${f%.c}.o" "$(basename "$f" .c)" "$(also "$f")"
done
for kv in $(tests/vm/kernels.sh installed | head -1); do
	for f in kernel/*.c; do
		o=build/module/$kv/${f%.c}.o
		[ -e "$o" ] && check "$o" "zerofs_$(basename "$f" .c)" 'init_module|cleanup_module|__.*'
	done
done
exit $rc
