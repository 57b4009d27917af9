#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The form of the sources: clang-format on every .c file (headers keep their hand-made tables), and tests/lint/source.py on all.
# With --fix, clang-format rewrites what it does not like.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t c < <(git ls-files -co --exclude-standard -- '*.c' | while read -r f; do [ -e "$f" ] && echo "$f"; done)
rc=0
mkdir -p build
if [ "${1:-}" = --fix ]; then
	/usr/bin/python3 tests/lint/source.py --fix > /dev/null 2>&1 || true
	clang-format -i "${c[@]}"
else
	printf '%s\n' "${c[@]}" | xargs clang-format --dry-run -Werror 2> build/style.log || rc=1
	if [ $rc != 0 ]; then
		sed -nE 's/^([^:]+):.* error: .*/\1/p' build/style.log | sort | uniq -c |
			while read -r n f; do echo "$f: clang-format would change it in $n places; run: make format"; done >&2
	fi
fi
/usr/bin/python3 tests/lint/source.py || rc=1
exit $rc
