#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds and runs the unit tests of one variant (gcc clang asan tsan). Results, a line for each cmocka test, to descriptor 3.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
variant=${1:?usage: tests/unit/run.sh gcc|clang|asan|tsan}
log=build/check/unit-$variant
mkdir -p "$log"
[ -e /proc/self/fd/3 ] || exec 3>&1

if ! make --no-print-directory -j2 "unit-$variant" > "$log/build.log" 2>&1; then
	grep -v '^  \(CC\|AR\|LD\)' "$log/build.log" | head -40
	printf 'FAIL\tunit-%s\t0\tdoes not build\n' "$variant" >&3
	exit 1
fi

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
# The seeded worlds have one thread: under TSan one seed says what there is to say, at a tenth of the speed.
[ "$variant" = tsan ] && export SEEDS=${SEEDS:-1}
# A limit is for what hangs; sanitizers on a busy machine are slow.
case $variant in
asan|tsan) limit=900 ;;
*) limit=300 ;;
esac
export variant log limit

run_one() {
	local name=${1##*/} s=$SECONDS rc=0 wrap=() f=$log/${1##*/}.log
	# TSan's shadow does not fit every layout that address randomisation picks.
	[ "$variant" = tsan ] && wrap=(setarch -R)
	timeout -k 5 "$limit" "${wrap[@]}" "$1" > "$f" 2>&1 || rc=$?
	# cmocka says of each test: [       OK ] name, [  FAILED  ] name or [  SKIPPED ] name; failed ones again in its summary.
	awk -v p="$name" -v rc=$rc -v t=$((SECONDS - s)) -v f="$f" '
		/^\[       OK \] / { print "PASS\t" p ":" $4 "\t0\t"; n++ }
		/^\[  SKIPPED \] / && !seen[$4]++ { print "SKIP\t" p ":" $4 "\t0\tskipped by the test"; n++ }
		/^\[  FAILED  \] / && $4 !~ /^[0-9]+$/ && !seen[$4]++ { print "FAIL\t" p ":" $4 "\t0\tsee " f; n++; bad++ }
		END {
			if (rc && !bad)
				print "FAIL\t" p "\t" t "\t" (rc == 124 ? "time limit" : "status " rc) ", see " f
			else if (!n)
				print "FAIL\t" p "\t" t "\tran no test, see " f
		}' "$f" > "$log/$name.results"
	if grep -q ^FAIL "$log/$name.results"; then
		{ echo "---- $f"; grep -av '^\[ RUN\|^\[       OK' "$f" | tail -30; } >&2
	fi
}
export -f run_one

rm -f "$log"/*.results
# What mostly sleeps says so in its head (`sleeps: SECONDS`). It runs beside the rest, all at once, and is left out of check-fast.
# run_all PARALLEL FILE...
run_all() {
	local parallel=$1 t
	shift
	for t in "$@"; do
		t=${t##*/}
		echo "build/$variant/tests/unit/${t%.c}"
	done | xargs -r -P "$parallel" -I{} bash -c 'run_one {}'
}
mapfile -t sleepy < <(grep -l '^ \* sleeps: ' tests/unit/test_*.c)
mapfile -t rest < <(grep -L '^ \* sleeps: ' tests/unit/test_*.c)
if [ -z "${FAST:-}" ]; then
	run_all 8 "${sleepy[@]}" &
fi
run_all 2 "${rest[@]}"
wait
cat "$log"/*.results >&3 2>/dev/null
echo "  $variant: $(cat "$log"/*.results 2>/dev/null | grep -c ^PASS) unit tests passed"
! grep -q ^FAIL "$log"/*.results
