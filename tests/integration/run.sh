#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs every tests/integration/NN-*.sh on this machine: what needs the daemon but no module. Each gets a fresh folder as $ZT_TMP,
# build/ first in PATH, 120 s (or what its line `# limit: SECONDS` says), and exits 0, 77 (skipped, after a line `SKIP: why`)
# or something else. Results to descriptor 3. With arguments: only these scripts. With FAST, not those with a line `# slow`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
log=build/check/integration
mkdir -p "$log"
[ -e /proc/self/fd/3 ] || exec 3>&1
targets=(build/zerofs)
pkg-config --exists nbdkit && targets+=(plugin)
if ! make --no-print-directory -j2 "${targets[@]}" > "$log/build.log" 2>&1; then
	tail -30 "$log/build.log"
	printf 'FAIL\tintegration\t0\tthe daemon does not build\n' >&3
	exit 1
fi
# Only now: build/gcc is a folder, which make would take for the compiler.
export ZT_TOP=$PWD PATH=$PWD/build:$PATH
[ $# -gt 0 ] || set -- tests/integration/[0-9][0-9]-*.sh
if [ -n "${FAST:-}" ]; then
	# shellcheck disable=SC2046 # names have no blanks
	set -- $(grep -L '^# slow$' "$@")
	echo "  left to make check: $(grep -l '^# slow$' tests/integration/*.sh | xargs -n1 basename | tr '\n' ' ')"
fi
bad=0
for t in "$@"; do
	name=$(basename "$t" .sh)
	limit=$(sed -n 's/^# limit: //p' "$t")
	ZT_TMP=$(mktemp -d)
	export ZT_TMP
	s=$SECONDS rc=0
	timeout -k 5 "${limit:-120}" bash "$t" < /dev/null > "$log/$name.log" 2>&1 || rc=$?
	rm -rf "$ZT_TMP"
	case $rc in
	0) printf 'PASS\t%s\t%s\t\n' "$name" $((SECONDS - s)) >&3; echo "  $name: ok ($((SECONDS - s)) s)" ;;
	77) printf 'SKIP\t%s\t0\t%s\n' "$name" "$(sed -n 's/^SKIP: //p' "$log/$name.log" | tail -1)" >&3 ;;
	*)
		bad=1
		printf 'FAIL\t%s\t%s\tstatus %s, see %s\n' "$name" $((SECONDS - s)) $rc "$log/$name.log" >&3
		tail -30 "$log/$name.log" ;;
	esac
done
exit $bad
