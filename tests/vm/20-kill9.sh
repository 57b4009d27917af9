# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 360
# DESCRIPTION: the daemon is killed $ROUNDS times under fio --verify and a stamping writer; each successor adopts what was
# acknowledged. No I/O error, no verify error, the volume is never anything but intact.
# Seen to fail with a daemon that says it adopted the arena and did not.
. tests/vm/lib.sh
. tests/vm/hammer.sh
ROUNDS=${ROUNDS:-20}
z_setup
z_format k --size 256M --devices 2
z_start k
dev=$(z_dev k 0)
h_start k 20
for ((round = 1; round <= ROUNDS; round++)); do
	sleep "0.$((RANDOM % 9 + 1))"
	z_kill k
	z_start k
	z_is k LIVE
	h_on "round $round"
done
reissued=$(z_counter "$dev" reissued)
h_end
zt_say "$ROUNDS kills; $reissued requests delivered again"

# Of 20 kills under queue depth 32 some must have met requests in flight, and none more than its tags.
[ "$reissued" -ge 1 ] || zt_fail "no request was ever in flight at a kill"
tags=$((ROUNDS * 64 * 4))
[ "$reissued" -le $tags ] || zt_fail "more reissues than there are tags"
gen=$(z_counter "$dev" attach_gen)
[ "$gen" = $((ROUNDS + 1)) ] || zt_fail "attach_gen is $gen after $ROUNDS restarts"
[ "$(z_counter "$dev" protocol_errors)" = 0 ] || zt_fail "the daemon broke the protocol"

h_check k
z_stop k
z_start k
h_check k
z_stop k
