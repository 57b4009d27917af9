# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-kernels: main second
# vm-limit: 120
# The module loads by name, offers its control device to root alone, and unloads, several times over.
. tests/vm/guestlib.sh

for round in 1 2 3; do
	zt_say "round $round"
	modprobe zerofs
	[ -c /dev/zerofs-control ] || zt_fail "no control device"
	mode=$(stat -c %a /dev/zerofs-control)
	[ "$mode" = 600 ] || zt_fail "the control device has mode $mode"
	if setpriv --reuid=65534 --clear-groups bash -c ': < /dev/zerofs-control' 2>/dev/null; then
		zt_fail "an ordinary user may open the control device"
	fi
	version=$(cat /sys/module/zerofs/version)
	expected=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
	[ "$version" = "$expected" ] || zt_fail "the module says version $version, dkms.conf $expected"
	[ -z "$(ls -d /sys/block/zerofs* 2>/dev/null)" ] || zt_fail "there is a disk that nobody asked for"
	rmmod zerofs
	[ ! -e /dev/zerofs-control ] || zt_fail "the control device outlives the module"
done
