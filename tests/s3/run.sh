#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs every tests/s3/NN-*.sh, with a Ceph gateway that serves S3 on loopback ($ZT_S3, its folder $ZT_GATEWAY) for all of them. As for the
# integration tests: each gets a fresh folder as $ZT_TMP, build/ first in PATH, 120 s (or what its line `# limit: SECONDS` says), and exits 0, 77 (skipped,
# after a line `SKIP: why`) or something else. Results to descriptor 3. With arguments: only these scripts. With SHORT (make check), not those with a line
# `# slow`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
log=build/check/s3
mkdir -p "$log"
[ -e /proc/self/fd/3 ] || exec 3>&1
failed() { # NAME SECONDS WHY
	printf 'FAIL\t%s\t%s\t%s\n' "$1" "$2" "$3" >&3
}
if ! tests/setup.sh s3; then
	failed s3 0 "what it needs is not there (tests/setup.sh s3)"
	exit 1
fi
if ! make --no-print-directory -j2 build/zerofs build/nbdkit-zerofs-plugin.so s3-programs > "$log/build.log" 2>&1; then
	tail -30 "$log/build.log"
	failed s3 0 "the daemon does not build"
	exit 1
fi
# Only now: build/gcc is a folder, which make would take for the compiler.
export ZT_TOP=$PWD PATH=$PWD/build:$PATH
if [ $# = 0 ]; then
	set -- tests/s3/[0-9][0-9]-*.sh
	if [ -n "${SHORT:-}" ]; then
		# shellcheck disable=SC2046 # names have no blanks
		set -- $(grep -L '^# slow$' "$@")
		echo "  left to make check-s3: $(grep -l '^# slow$' tests/s3/[0-9][0-9]-*.sh | xargs -n1 basename | tr '\n' ' ')"
	fi
fi
bad=0 ZT_TMP=
work=$(mktemp -d)
cleanup() {
	tests/s3/gateway.sh stop "$work/gateway"
	rm -rf "$work" ${ZT_TMP:+"$ZT_TMP"}
}
trap cleanup EXIT
trap 'exit 130' INT TERM

s=$SECONDS
echo "  starting Ceph's S3 gateway"
if ! ZT_S3=$(tests/s3/gateway.sh start "$work/gateway" $$ 2> "$log/gateway.log"); then
	tail -30 "$log/gateway.log"
	failed gateway $((SECONDS - s)) "it does not start, see $log/gateway.log"
	exit 1
fi
export ZT_S3 ZT_GATEWAY=$work/gateway
echo "  gateway: up ($((SECONDS - s)) s)"
for t in "$@"; do
	name=$(basename "$t" .sh)
	limit=$(sed -n 's/^# limit: //p' "$t")
	ZT_TMP=$(mktemp -d)
	export ZT_TMP
	s=$SECONDS rc=0
	if [ -n "${VERBOSE:-}" ]; then
		timeout -k 5 "${limit:-120}" bash "$t" < /dev/null 2>&1 | tee "$log/$name.log" || rc=$?
	else
		timeout -k 5 "${limit:-120}" bash "$t" < /dev/null > "$log/$name.log" 2>&1 || rc=$?
	fi
	rm -rf "$ZT_TMP"
	case $rc in
	0) printf 'PASS\t%s\t%s\t\n' "$name" $((SECONDS - s)) >&3; echo "  $name: ok ($((SECONDS - s)) s)" ;;
	77) printf 'SKIP\t%s\t0\t%s\n' "$name" "$(sed -n 's/^SKIP: //p' "$log/$name.log" | tail -1)" >&3 ;;
	*)
		bad=1
		failed "$name" $((SECONDS - s)) "status $rc, see $log/$name.log"
		tail -30 "$log/$name.log" ;;
	esac
done
exit $bad
