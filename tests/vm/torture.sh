#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make torture: 56-torture.sh with more rounds. Usage: torture.sh [ROUNDS [SEED]]; docs/testing.md says what is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-20} seed=${2:-$((RANDOM * 32768 + RANDOM))}
case $rounds$seed in *[!0-9]*) echo "torture.sh: ROUNDS and SEED are numbers" >&2; exit 2 ;; esac
[ "$rounds" -ge 1 ] || { echo "torture.sh: at least one round" >&2; exit 2; }
test=tests/vm/56-torture.sh out=build/torture
rm -rf "$out"
mkdir -p "$out/disks"
args=()
while read -r serial size; do
	truncate -s "$size" "$out/disks/$serial"
	args+=(-d "$out/disks/$serial:$serial")
done < <(sed -n 's/^# vm-disk: //p' "$test")
echo "torture: $rounds rounds, seed $seed"
if tests/vm/run.sh -v -b $((rounds + 1)) -o "$out/run" -c "$out/before" "${args[@]}" "$test" "$rounds" "$seed"; then
	rm -rf "$out/disks" "$out/before"
	echo "torture: $rounds rounds passed, seed $seed"
	exit 0
fi
boot=$(grep -cE '^-- (round [0-9]+ of|what round) ' "$out/run/share/0.log" 2>/dev/null || true)
cat <<T
torture: FAILED in boot ${boot:-0}, seed $seed
  disks before that boot:       $out/before
  disks after it:               $out/disks
  logs, and what was flushed:   $out/run/share
  the same kills, cuts, writes: make torture ROUNDS=$rounds SEED=$seed (the machine's timing is not repeated)
T
exit 1
