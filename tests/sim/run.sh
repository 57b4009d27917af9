#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The simulator over a fixed set of seeds; a few of them again, to see that a replay is the same; a few under ASan and UBSan.
# SEEDS=n: so many seeds. SOAK=s: instead of all that, ever new seeds for s seconds, from FIRST=n (1) on; on each CPU, a million
# seeds apart.
# Results, a line for each of these, to descriptor 3.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
log=build/check/sim
mkdir -p "$log"
[ -e /proc/self/fd/3 ] || exec 3>&1
sim=build/gcc/tests/sim/sim
asan=build/asan/tests/sim/sim

if ! make --no-print-directory -j2 $sim $asan > "$log/build.log" 2>&1; then
	grep -v '^  \(CC\|AR\|LD\)' "$log/build.log" | head -40
	printf 'FAIL\tsim\t0\tdoes not build\n' >&3
	exit 1
fi

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
bad=0

verdict() {
	if [ "$2" = 0 ]; then
		printf 'PASS\tsim:%s\t0\t\n' "$1" >&3
	else
		bad=1
		printf 'FAIL\tsim:%s\t0\tsee %s\n' "$1" "$log/$1.log" >&3
	fi
}

# run NAME COMMAND...: its last lines are shown.
run() {
	local name=$1 rc=0
	shift
	"$@" > "$log/$name.log" 2>&1 || rc=$?
	tail -8 "$log/$name.log" | sed 's/^/  /'
	verdict "$name" $rc
	return $rc
}

# Two runs of a seed, in processes whose addresses differ, are the same to the last event.
replay() {
	local seed a b
	for seed in 1 2 3 4 5 6; do
		a=$("$sim" "$seed" 2>&1 | tail -1)
		b=$("$sim" -t "$seed" 2>&1 | tail -1)
		if [ "$a" != "$b" ] || [[ $a != *passed* ]]; then
			echo "seed $seed: '$a', then '$b'"
			return 1
		fi
	done
	echo "replay: 6 seeds, twice each, the same"
}

soak() {
	local cpus i
	cpus=$(nproc)
	for ((i = 0; i < cpus; i++)); do
		run "soak$i" $sim -f $((${FIRST:-1} + i * 1000000)) -s "$SOAK" &
	done
	for ((i = 0; i < cpus; i++)); do
		wait -n || bad=1
	done
	sed -n 's/^sim: \([0-9]*\) crashes.*/\1/p' "$log"/soak[0-9]*.log |
		awk -v s="$SOAK" '{ n += $1 } END { printf "  soak: %d crashes in %d s\n", n, s }'
}

if [ -n "${SOAK:-}" ]; then
	rm -f "$log"/soak[0-9]*.log
	soak
else
	run seeds $sim -f 1 -n "${SEEDS:-60}"
	run points $sim -f 100001 -P 2,60
	run replay replay
	run asan $asan -f 200001 -n 4
fi
exit $bad
