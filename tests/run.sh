#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs parts of `make check` and closes with the line `N passed, N failed, N skipped`.
# Usage: tests/run.sh PART...      parts: style lint model module unit clang asan tsan integration s3 sim vm; `fast` and `all` are lists of them
# SKIP="NAME ..." (blanks or commas; a part or a test) leaves something out; whatever else does not run is a failure.
# Logs: build/check/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
top=$PWD
out=$top/build/check
mkdir -p "$out"
export ZT_OUT=$out
passed=0 failed=0 skipped=0
t0=$SECONDS

parts=()
for p in "$@"; do
	case $p in
	fast) export FAST=1; parts+=(style lint module unit integration) ;;
	all) export SHORT=1; parts+=(style lint model module unit integration s3 sim clang asan tsan vm) ;;
	style|lint|model|module|unit|clang|asan|tsan|integration|s3|sim|vm) parts+=("$p") ;;
	*) echo "run.sh: no such part: $p" >&2; exit 2 ;;
	esac
done
[ ${#parts[@]} -gt 0 ] || { echo "usage: tests/run.sh PART..." >&2; exit 2; }

skip() { case " ${SKIP//,/ } " in *" $1 "*) return 0 ;; esac; return 1; }
SKIP=${SKIP:-}

stamp() { printf '[%4d s] %s\n' $((SECONDS - t0)) "$*"; }

# tally PART FILE: adds up a file of lines `PASS|FAIL|SKIP name seconds reason`.
tally() {
	local verdict name reason n=0
	while IFS=$'\t' read -r verdict name _ reason; do
		n=$((n + 1))
		case $verdict in
		PASS) passed=$((passed + 1)) ;;
		SKIP)
			if skip "$name"; then
				skipped=$((skipped + 1))
			else
				failed=$((failed + 1))
				stamp "$1: $name did not run, which counts as a failure: $reason"
			fi ;;
		*) failed=$((failed + 1)); stamp "$1: $name FAILED${reason:+: $reason}" ;;
		esac
	done < "$2"
	if [ $n = 0 ]; then
		failed=$((failed + 1))
		stamp "$1: ran nothing, which counts as a failure"
	fi
}

# one PART COMMAND...: a part that passes or fails as a whole.
one() {
	local part=$1 s=$SECONDS
	shift
	if "$@" > "$out/$part.log" 2>&1; then
		printf 'PASS\t%s\t%s\t\n' "$part" $((SECONDS - s))
	else
		printf 'FAIL\t%s\t%s\t%s\n' "$part" $((SECONDS - s)) "see $out/$part.log"
		tail -30 "$out/$part.log" >&2
	fi
}

run_part() {
	case $1 in
	style) one style make --no-print-directory style ;;
	lint) tests/lint/run.sh ;;
	model) tests/model/run.sh ;;
	module) one module make --no-print-directory -j2 module ;;
	unit) tests/unit/run.sh gcc ;;
	clang|asan|tsan) tests/unit/run.sh "$1" ;;
	integration) tests/integration/run.sh ;;
	s3) tests/s3/run.sh ;;
	sim) tests/sim/run.sh ;;
	vm) tests/vm/all.sh ;;
	esac
}

for part in "${parts[@]}"; do
	if skip "$part"; then
		skipped=$((skipped + 1))
		stamp "$part: skipped, as SKIP says"
		continue
	fi
	stamp "$part"
	# A part writes its results to descriptor 3 or, when it is a function above, to its standard output.
	case $part in
	style|module) run_part "$part" > "$out/$part.results" ;;
	*)
		rc=0
		run_part "$part" 3> "$out/$part.results" || rc=$?
		if [ $rc != 0 ] && ! grep -q ^FAIL "$out/$part.results"; then
			printf 'FAIL\t%s\t0\t%s\n' "$part" "ended with status $rc" >> "$out/$part.results"
		fi ;;
	esac
	tally "$part" "$out/$part.results"
done

stamp "end"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
