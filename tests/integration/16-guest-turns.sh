# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: a guest that waits for its turn leaves the output folder of the one that runs alone.
. tests/integration/lib.sh

# A cache with as much of an image as the runner looks for before it takes the lock; nothing is booted.
export ZEROFS_CACHE=$ZT_TMP/cache
kv=$(tests/vm/kernels.sh version main)
mkdir -p "$ZEROFS_CACHE/kernels/$kv/boot" "$ZT_TMP/out/share/out"
: > "$ZEROFS_CACHE/kernels/$kv/boot/vmlinuz-$kv"
echo running > "$ZT_TMP/out/share/out/figure"
exec 8> "$ZEROFS_CACHE/vm.lock"
flock 8
tests/vm/run.sh -o "$ZT_TMP/out" tests/vm/00-smoke.sh > "$ZT_TMP/log" 2>&1 8>&- &
pid=$!
for ((i = 0; i < 300; i++)); do
	! grep -q "waiting for another guest" "$ZT_TMP/log" || break
	sleep 0.1
done
grep -q "waiting for another guest" "$ZT_TMP/log" || fail "it did not come to wait: $(cat "$ZT_TMP/log")"
[ "$(cat "$ZT_TMP/out/share/out/figure")" = running ] || fail "the folder was cleared"
# The shell looks at signals once flock(1) has ended.
mapfile -t child < <(pgrep -P $pid)
kill $pid "${child[@]}"
wait $pid || true
