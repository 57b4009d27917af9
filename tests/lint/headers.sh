#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every header of the daemon and the uapi header compile on their own, seen from their own directory; the latter as user space
# sees it, in C and strictly.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
make --no-print-directory build/inc/.made > /dev/null || exit 1
rc=0
check() { # DIRECTORY OF THE INCLUDE TREE, HEADER
	echo "#include \"$2\"" | gcc -std=gnu11 -D_GNU_SOURCE= -Wall -Wextra -Werror -Wno-unused-function -Ibuild/inc/"$1" \
		-fsyntax-only -x c - || { echo "$2: does not compile on its own"; return 1; }
}
for h in daemon/*/*.h daemon/*/*/*.h; do
	[ -e "$h" ] || continue
	d=${h#daemon/}
	check "${d%%/*}" "$d" || rc=1
done
check transport io.h || rc=1
check transport uapi/zerofs.h || rc=1
exit $rc
