#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Part `vm` of the check: every tests/vm/NN-*.sh and every program of tests/kernel/, in as few boots as their needs allow.
# Results to descriptor 3. With arguments: only these tests (paths). docs/testing.md explains the vm-* lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
[ -e /proc/self/fd/3 ] || exec 3>&1
log=build/check/vm
mkdir -p "$log"
bad=0

if ! make --no-print-directory -j2 all vm-tools > "$log/build.log" 2>&1; then
	tail -30 "$log/build.log"
	printf 'FAIL\tvm\t0\tmodule, daemon or test programs do not build\n' >&3
	exit 1
fi

if [ $# = 0 ]; then
	set -- tests/vm/[0-9][0-9]-*.sh
	for t in tests/kernel/test_*.c; do
		[ ! -e "$t" ] || set -- "$@" "build/${t%.c}"
	done
fi

directive() { # NAME TEST
	local src=$2
	[ "${src%.sh}" != "$src" ] || src=${src#build/}.c
	sed -nE "s/^[#* \t]*vm-$1: //p" "$src"
}

left_out() { case " ${SKIP//,/ } " in *" $1 "*) return 0 ;; esac; return 1; }
SKIP=${SKIP:-}

# Results of an earlier run are still there if the runner did not get its turn.
collect() { # FOLDER KERNEL RC SINCE
	if [ -s "$1/results" ] && [ "$(stat -c %Y "$1/results")" -ge "$4" ]; then
		# The second kernel's results carry its name, so that SKIP and a reader can tell them apart.
		awk -F'\t' -v OFS='\t' -v k="$2" '{ if (k != "main") $2 = $2 "@" k; print }' "$1/results" >&3
	else
		printf 'FAIL\t%s\t0\tthe guest runner ended with status %s\n' "$(basename "$1")" "$3" >&3
	fi
	[ "$3" = 0 ] || bad=1
}

for role in $(tests/vm/kernels.sh roles); do
	shared=() alone=()
	for t in "$@"; do
		name=$(basename "$t" .sh)
		kernels=$(directive kernels "$t")
		case " ${kernels:-main} " in *" $role "*) ;; *) continue ;; esac
		if left_out "$name" || { [ "$role" != main ] && left_out "$name@$role"; }; then
			[ "$role" = main ] || name=$name@$role
			printf 'SKIP\t%s\t0\tas SKIP says\n' "$name" >&3
		elif [ -n "$(directive disk "$t")$(directive boots "$t")$(directive mem "$t")" ]; then
			alone+=("$t")
		else
			shared+=(-s "$t")
		fi
	done
	if [ ${#shared[@]} -gt 0 ]; then
		rc=0 since=$EPOCHSECONDS
		tests/vm/run.sh -k "$role" -o "$log/shared.$role" "${shared[@]}" || rc=$?
		collect "$log/shared.$role" "$role" $rc "$since"
	fi
	for t in "${alone[@]}"; do
		name=$(basename "$t" .sh)
		args=()
		tmp=$(mktemp -d "${TMPDIR:-/tmp}/zerofs-vm.XXXXXX")
		while read -r serial size; do
			[ -n "$serial" ] || continue
			truncate -s "$size" "$tmp/$serial"
			args+=(-d "$tmp/$serial:$serial")
		done < <(directive disk "$t")
		boots=$(directive boots "$t")
		mem=$(directive mem "$t")
		kept=$log/$name.$role.disks
		rm -rf "$kept"
		[ -z "$(directive copy "$t")" ] || args+=(-c "$kept")
		rc=0 since=$EPOCHSECONDS
		tests/vm/run.sh -k "$role" -o "$log/$name.$role" ${boots:+-b "$boots"} ${mem:+-m "$mem"} "${args[@]}" "$t" || rc=$?
		rm -rf "$tmp"
		if [ $rc = 0 ]; then
			rm -rf "$kept"
		elif [ -e "$kept" ]; then
			echo "its disks as they were before the last boot: $kept"
		fi
		collect "$log/$name.$role" "$role" $rc "$since"
	done
done
exit $bad
