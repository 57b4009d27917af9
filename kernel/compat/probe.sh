#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Usage: probe.sh OUTPUT CONFTEST_DIR COMPILER FLAGS...
# Compiles each CONFTEST_DIR/NAME.c against the kernel's headers and writes a header that defines
# ZEROFS_NAME for those that compile. compat.h refuses to build if no form of a call was found.
set -eu

out=$1
dir=$2
shift 2

mkdir -p "$(dirname "$out")"
tmp=$out.tmp.$$
trap 'rm -f "$tmp"' EXIT
{
	echo "/* Written by kernel/compat/probe.sh. */"
	for c in "$dir"/*.c; do
		name=$(basename "$c" .c | tr '[:lower:]' '[:upper:]')
		if "$@" -Werror=implicit-function-declaration \
			-Werror=incompatible-pointer-types -Werror=int-conversion \
			-fsyntax-only "$c" >/dev/null 2>&1; then
			echo "#define ZEROFS_$name 1"
		else
			echo "/* ZEROFS_$name: no */"
		fi
	done
} >"$tmp"
mv "$tmp" "$out"
