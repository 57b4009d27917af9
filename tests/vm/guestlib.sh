# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For scripts that run inside a test guest: `. tests/vm/guestlib.sh`.

set -euo pipefail
trap 'echo "zt: ${BASH_SOURCE[0]}:$LINENO: status $?: $BASH_COMMAND" >&2' ERR

# zt_say WORDS: one line of progress.
zt_say() { echo "-- $*"; }

# zt_fail WORDS: ends the test as failed.
zt_fail() { echo "FAIL: $*" >&2; exit 1; }

# zt_skip WORDS: ends the test as skipped, with the reason (the run counts that as a failure unless SKIP names the test).
zt_skip() { echo "SKIP: $*"; exit 77; }

# zt_disk SERIAL: prints the device of the virtio disk that was given that serial.
zt_disk() {
	local p=/dev/disk/by-id/virtio-$1
	[ -e "$p" ] || zt_fail "no disk with the serial $1"
	readlink -f "$p"
}

# zt_power_cut: the host kills QEMU at once. Does not return.
zt_power_cut() {
	echo zt-power-cut > /dev/ttyS1
	sleep 30
	zt_fail "the host did not cut the power"
}

# zt_wait SECONDS COMMAND...: until the command succeeds, or fails the test.
zt_wait() {
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || zt_fail "waited in vain for: $*"
		sleep 0.1
	done
}
