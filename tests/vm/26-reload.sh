# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 270
# DESCRIPTION: the module is loaded and unloaded $ROUNDS times, with a served volume in between every other time; it cannot
# be unloaded while a daemon, a device or a session without a daemon needs it.
# Seen to fail when it asks for rmmod to be refused once the volume is stopped.
. tests/vm/lib.sh
ROUNDS=${ROUNDS:-20}
z_setup
z_format r --size 64M
rmmod zerofs

busy() { if rmmod zerofs 2>/dev/null; then zt_fail "the module could be unloaded: $1"; fi; }

for ((round = 1; round <= ROUNDS; round++)); do
	modprobe zerofs
	if [ $((round % 2)) = 1 ]; then
		rmmod zerofs
		[ ! -e /dev/zerofs-control ] || zt_fail "the control device outlives the module"
		continue
	fi
	z_start r
	dev=$(z_dev r)
	[ $round = 2 ] || z_same "$dev" 10 2 $((round - 2)) || zt_fail "round $round: not what was written last"
	z_put "$dev" 10 2 $round
	busy "a daemon serves"
	if [ $((round % 4)) = 0 ]; then
		z_kill r
		busy "a session waits for a daemon"
		z_start r
	fi
	z_stop r
	rmmod zerofs
	[ ! -e "$dev" ] || zt_fail "$dev outlives the module"
done
zt_say "$ROUNDS rounds"
