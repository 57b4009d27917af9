# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: discarded and zeroed ranges read as zero at once and after a restart, 4 GiB at a time too; what lies beside
# them stays.
# Seen to fail with a daemon that leaves out the last block of a discard.
. tests/vm/lib.sh
z_setup
z_format dis --size 9G
z_start dis
dev=$(z_dev dis)

G=$((1 << 18))	# blocks of a GiB
# Marks: block numbers. The big discard takes blocks 1 .. 4G, so 0 and 4G + 1 stay.
marks=(0 1 $((G)) $((2 * G + 77)) $((4 * G - 1)) $((4 * G)) $((4 * G + 1)) $((8 * G)))
for m in "${marks[@]}"; do z_put "$dev" "$m" 1 "mark$m"; done
z_put "$dev" $((5 * G)) 256 area
for m in "${marks[@]}"; do z_same "$dev" "$m" 1 "mark$m" || zt_fail "block $m does not hold its mark"; done

check_small() {
	z_same "$dev" $((5 * G)) 16 area || zt_fail "$1: before the discarded range"
	z_zero "$dev" $((5 * G + 16)) 32 || zt_fail "$1: discarded, not zero"
	z_zero "$dev" $((5 * G + 96)) 8 || zt_fail "$1: zeroed by BLKZEROOUT, not zero"
	z_zero "$dev" $((5 * G + 128)) 4 || zt_fail "$1: zeroed by ZERO_RANGE, not zero"
	z_zero "$dev" $((5 * G + 160)) 4 || zt_fail "$1: punched, not zero"
	# The rest, piece by piece.
	local p
	for p in 48:48 104:24 132:28 164:92; do
		cmp -s <(dd if="$dev" bs=4096 skip=$((5 * G + ${p%:*})) count="${p#*:}" iflag=direct status=none) \
			<(z_noise area $((256 * 4096)) | dd bs=4096 skip="${p%:*}" count="${p#*:}" iflag=fullblock status=none) ||
			zt_fail "$1: blocks ${p%:*} and on were to stay"
	done
}

blkdiscard -o $(((5 * G + 16) * 4096)) -l $((32 * 4096)) "$dev"
blkdiscard -z -o $(((5 * G + 96) * 4096)) -l $((8 * 4096)) "$dev"
fallocate -z -o $(((5 * G + 128) * 4096)) -l $((4 * 4096)) "$dev"
fallocate -p -o $(((5 * G + 160) * 4096)) -l $((4 * 4096)) "$dev"
check_small "at once"
[ "$(z_counter "$dev" requests_write_zeroes)" -ge 2 ] || zt_fail "zeroing did not reach the daemon as such"

zt_say "4 GiB at once"
before=$(z_counter "$dev" bytes_discard)
t0=$EPOCHREALTIME
blkdiscard -o 4096 -l $((4 << 30)) "$dev"
took=$(bc <<< "$EPOCHREALTIME - $t0")
zt_say "took $took s"
[ $(($(z_counter "$dev" bytes_discard) - before)) = $((4 << 30)) ] || zt_fail "not all of it reached the daemon"
[ "$(bc <<< "$took < 10")" = 1 ] || zt_fail "too slow"

check_big() {
	local m
	for m in 0 $((4 * G + 1)) $((8 * G)); do z_same "$dev" "$m" 1 "mark$m" || zt_fail "$1: block $m was to stay"; done
	for m in 1 $G $((2 * G + 77)) $((4 * G - 1)) $((4 * G)); do z_zero "$dev" "$m" 1 || zt_fail "$1: block $m is not zero"; done
}
check_big "at once"
z_put "$dev" $((2 * G + 77)) 1 again
z_flush "$dev"
z_stop dis
z_start dis
dev=$(z_dev dis)
check_small "after a restart"
z_same "$dev" $((2 * G + 77)) 1 again || zt_fail "what was written after the discard is gone"
blkdiscard -o $(((2 * G + 77) * 4096)) -l 4096 "$dev"
check_big "after a restart"
z_kill dis
z_start dis
check_big "after a kill"
blkdiscard "$dev"
z_flush "$dev"
z_kill dis
z_start dis
for m in "${marks[@]}"; do z_zero "$dev" "$m" 1 || zt_fail "block $m outlived the discard of the whole device"; done
z_stop dis
