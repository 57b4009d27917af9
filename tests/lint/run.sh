#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The lints, each a PASS or FAIL line to descriptor 3: layers, headers, exported names, shellcheck, versions, hosts, planted bugs, sparse.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
[ -e /proc/self/fd/3 ] || exec 3>&1
log=build/check/lint
mkdir -p "$log"
bad=0

lint() { # NAME COMMAND...
	local name=$1 s=$SECONDS
	shift
	if "$@" > "$log/$name.log" 2>&1; then
		printf 'PASS\tlint:%s\t%s\t\n' "$name" $((SECONDS - s)) >&3
	else
		bad=1
		printf 'FAIL\tlint:%s\t%s\tsee %s\n' "$name" $((SECONDS - s)) "$log/$name.log" >&3
		head -20 "$log/$name.log" >&2
	fi
}

shell_scripts() {
	git ls-files -co --exclude-standard -- '*.sh' .ci/run tests/vm/init | while read -r f; do [ -e "$f" ] && echo "$f"; done |
		xargs -P 2 -n 6 shellcheck -x -S warning
}

# The version stands in dkms.conf; the changelog's newest heading must name it, and no other place may set one.
versions() {
	local v rc=0
	v=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
	[ -n "$v" ] || { echo "dkms.conf: no PACKAGE_VERSION"; rc=1; }
	grep -m1 '^## ' CHANGELOG.md | grep -qF "$v" || { echo "CHANGELOG.md: its newest heading does not name $v"; rc=1; }
	if git grep -nF "\"$v\"" -- '*.c' '*.h' Kbuild Makefile; then
		echo "the version $v is repeated there"
		rc=1
	fi
	return $rc
}

# No file may name a host that packages come from.
hosts() {
	local h
	h=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | sed -nE 's#^[a-z+]*://([^/]+).*#\1#p' | sort -u | paste -sd'|')
	[ -n "$h" ] || return 0
	! git grep -nIE "${h//./\\.}"
}

# Kernel version tests may stand in kernel/compat only.
kernel_versions() { ! git grep -nE 'LINUX_VERSION_CODE|KERNEL_VERSION' -- kernel ':!kernel/compat'; }

lint layers tests/lint/layers.sh
lint headers tests/lint/headers.sh
lint names tests/lint/names.sh
lint shellcheck shell_scripts
lint versions versions
lint hosts hosts
lint kernel-versions kernel_versions
lint mutants tests/mutants/mutant.py check
lint sparse make --no-print-directory -j2 sparse
exit $bad
