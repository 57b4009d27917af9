# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 180
# DESCRIPTION: the module is loaded and unloaded $ROUNDS times with a served volume in between; it cannot be unloaded while
# a daemon, a device or a session without a daemon needs it.
# Made to fail once by expecting rmmod to be refused after the volume was stopped.
. tests/vm/lib.sh
ROUNDS=${ROUNDS:-20}
z_setup
z_format r --size 64M
rmmod zerofs

busy() { if rmmod zerofs 2>/dev/null; then zt_fail "the module could be unloaded: $1"; fi; }

for ((round = 1; round <= ROUNDS; round++)); do
	modprobe zerofs
	z_start r
	dev=$(z_dev r)
	[ $round = 1 ] || z_same "$dev" 10 2 $((round - 1)) || zt_fail "round $round: not what the round before wrote"
	z_put "$dev" 10 2 $round
	busy "a daemon serves"
	if [ $((round % 5)) = 0 ]; then
		z_kill r
		busy "a session waits for a daemon"
		z_start r
	fi
	z_stop r
	rmmod zerofs
	[ ! -e "$dev" ] || zt_fail "$dev outlives the module"
done
zt_say "$ROUNDS rounds"
