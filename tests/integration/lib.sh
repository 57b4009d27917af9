# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests of the command line that need no module: `. tests/integration/lib.sh`. Everything lies in $ZT_TMP.

set -euo pipefail
trap 'echo "${BASH_SOURCE[0]}:$LINENO: status $?: $BASH_COMMAND" >&2' ERR

fail() { echo "FAIL: $*" >&2; exit 1; }

# refused STATUS PATTERN COMMAND...: fails with that status, says nothing on stdout, and one line on stderr that begins with
# "zerofs: " and matches.
refused() {
	local status=$1 pattern=$2 rc=0
	shift 2
	timeout 60 "$@" > "$ZT_TMP/stdout" 2> "$ZT_TMP/stderr" < /dev/null || rc=$?
	if [ $rc != "$status" ] || [ -s "$ZT_TMP/stdout" ] || [ "$(wc -l < "$ZT_TMP/stderr")" != 1 ] ||
		! grep -q '^zerofs: ' "$ZT_TMP/stderr" || ! grep -qE -e "$pattern" "$ZT_TMP/stderr"; then
		cat "$ZT_TMP/stdout" "$ZT_TMP/stderr"
		fail "status $rc, not $status with one line that matches '$pattern': $*"
	fi
	echo "ok: $(cat "$ZT_TMP/stderr")"
}

# sums FOLDER: a sum over all files and their contents.
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort | sha256sum); }
