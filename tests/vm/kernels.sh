#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the test kernels are called here. Usage:
#   kernels.sh pinned ROLE     the version tests/vm/kernels.conf pins
#   kernels.sh series ROLE     its series, as 6.12
#   kernels.sh roles           every role
#   kernels.sh version ROLE    the version in use: what set-up recorded, else the pinned one
#   kernels.sh image ROLE      the folder its image is unpacked in
#   kernels.sh installed       versions in use whose headers are installed, one a line
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${ZEROFS_CACHE:-/var/cache/zerofs-test}

field() { awk -v r="$1" -v n="$2" '$1 == r { print $n }' "$here/kernels.conf"; }

version() {
	local pinned recorded
	pinned=$(field "$1" 2)
	[ -n "$pinned" ] || { echo "kernels.sh: no kernel has the role '$1'" >&2; return 1; }
	# A record is of use only while the pin it was made for stands.
	recorded=$(awk -v p="$pinned" '$1 == p { print $2 }' "$cache/kernels/in-place-of" 2>/dev/null || true)
	echo "${recorded:-$pinned}"
}

case ${1:-} in
pinned) field "$2" 2 ;;
series) field "$2" 3 ;;
roles) awk '!/^#/ && NF { print $1 }' "$here/kernels.conf" ;;
version) version "$2" ;;
image) echo "$cache/kernels/$(version "$2")" ;;
installed)
	for role in $("$0" roles); do
		kv=$(version "$role")
		[ -e "/lib/modules/$kv/build/Makefile" ] && echo "$kv"
	done
	exit 0 ;;
*) echo "usage: kernels.sh pinned|series|version|image ROLE, kernels.sh roles|installed" >&2; exit 2 ;;
esac
