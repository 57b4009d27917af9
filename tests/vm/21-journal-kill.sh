# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 360
# vm-disk: journal 64M
# DESCRIPTION: a local journal and a daemon that dies. It is killed $ROUNDS times under fio --verify and a stamping writer, and
# replaced. Then the store goes away until memory is full and batches are parked in the journal's ring: a kill, another one while
# the next daemon waits for the store, which then comes back, and one more while the batches go there. Each successor has all that
# was acknowledged. No I/O error. In the end all of it is in the store, without the journal.
# Seen to fail with a daemon that does not take what is parked over from the ring; with one that lets go for a successor that has too
# little memory for a journal, or names none.
. tests/vm/lib.sh
. tests/vm/hammer.sh
ROUNDS=${ROUNDS:-10}
z_setup
export STOREAWAY=$Z/away
Z_UNDER=(env "LD_PRELOAD=$ZT_TOP/build/tests/vm/storeaway.so")
# What writes may take of it is half the ring.
Z_SERVE=(--memory 120M)
journal=$(zt_disk journal)
with=(--flush local --journal "$journal")
rm -f "$Z/away"
z_format j --size 96M --devices 2
zerofs journal create --key-file "$Z/key" "$(z_url j)" "$journal" > /dev/null
z_start j "${with[@]}"
dev=$(z_dev j 0)
h_start j 21

for ((round = 1; round <= ROUNDS; round++)); do
	sleep "0.$((RANDOM % 9 + 1))"
	z_kill j
	z_start j "${with[@]}"
	z_is j LIVE
	h_on "kill $round"
done
zt_say "$ROUNDS kills"

zt_say "one that could not go on is refused before the old one lets go"
serve=("${Z_UNDER[@]}" zerofs serve --state-dir "$Z_STATE/state.j" --key-file "$Z/key")
# refused PATTERN OPTION...: as a replacement
refused() {
	local pattern=$1
	shift
	z_fails "$pattern" "${serve[@]}" --replace "$@" "$(z_url j)"
	kill -0 "${Z_PID[j]}" || zt_fail "the old one has let go"
	z_is j LIVE
}
# What is enough without a journal: what is wrong then is that somebody serves the volume.
z_fails 'MiB is the least' "${serve[@]}" --memory 64M "$(z_url j)"
least=$(sed -n 's/.* \([0-9]*\) MiB is the least.*/\1/p' "$Z/stderr")
z_fails 'already served' "${serve[@]}" --memory "${least}M" "$(z_url j)"
refused 'MiB is the least' --memory "${least}M" "${with[@]}"
refused "its journal is $journal" --memory 120M
refused 'is not there' --memory 120M --flush local --journal "$Z/none"
zt_say "one that can takes over"
z_replace j "${with[@]}"
z_is j LIVE
zerofs status j | grep -q 'journal: ' || zt_fail "who replaced the daemon does not use its journal"
h_on "after a replacement"

# Piece N: 4 MiB that follow from N, on device 0, where fio does not write. Not block by block: what is read from the ring is
# decrypted by whole records, which takes its time here.
flushed_piece() {
	z_noise "piece $1" $((4 << 20)) | dd of="$dev" bs=1M seek=$((28 + $1 * 4)) iflag=fullblock oflag=direct conv=notrunc status=none &&
		z_flush "$dev"
}
check_pieces() {
	local i
	for ((i = 1; i <= pieces; i++)); do
		cmp <(dd if="$dev" bs=1M skip=$((28 + i * 4)) count=4 iflag=direct status=none) <(z_noise "piece $i" $((4 << 20))) ||
			zt_fail "piece $i of $pieces: $1"
	done
}
zt_say "the store goes away, until batches are parked"
touch "$Z/away"
for ((pieces = 1; ; pieces++)); do
	z_bg piece flushed_piece $pieces
	z_rc piece 90
	[ "$Z_RC" = 0 ] || { cat "$Z/piece.out"; zt_fail "piece $pieces was not written"; }
	[ "$(z_json j .parked)" = 0 ] || break
	[ $pieces -lt 10 ] || { zerofs status j; zt_fail "40 MiB more than the store has, and nothing is parked in the ring"; }
done
h_on "while the store was away"
zerofs status j | tee "$Z/status"
grep -q 'journal: ' "$Z/status" || zt_fail "the journal is not in use"

zt_say "a kill: $(z_json j .parked) batches are parked, $(z_json j .dirty_bytes) bytes are not in the store"
waits_for_store() { grep -q 'warning: store: .*; the volume comes up when it answers' "$Z/j.log"; }
relaunch() {
	: > "$Z/j.log"
	z_launch j "${with[@]}"
	zt_wait 60 waits_for_store
	z_is j RECOVERING
	h_on "$1"
}
z_kill j
relaunch "after a kill while the store was away"
z_kill j
relaunch "after a kill of a daemon that waited for the store"
rm "$Z/away"
z_ready j || zt_fail "it does not come up when the store is back: $(tail -1 "$Z/j.log")"
z_is j LIVE
zt_say "$(grep 'writes taken over from memory' "$Z/j.log")"
grep -q ' [1-9][0-9]* writes taken over from memory, [1-9][0-9]* from the journal' "$Z/j.log" ||
	zt_fail "it had nothing from memory, or nothing from the journal"
check_pieces "after the store came back"

zt_say "a kill while they go to the store: $(z_json j .dirty_bytes) bytes are not there"
z_kill j
z_start j "${with[@]}"
z_is j LIVE
h_on "after a kill while batches went to the store"

h_end
[ "$(z_counter "$dev" protocol_errors)" = 0 ] || zt_fail "a daemon broke the protocol"
h_check j
sum=$(head -c 24M "$dev" | sha256sum)
z_stop j
zt_say "without the journal"
z_start j
dev=$(z_dev j 0)
h_check j
check_pieces "without the journal"
[ "$(head -c 24M "$dev" | sha256sum)" = "$sum" ] || zt_fail "what fio wrote reads otherwise"
z_stop j
