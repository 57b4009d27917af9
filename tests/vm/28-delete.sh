# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: `zerofs detach` is refused while a device is open; with --force the device goes away under a running fio,
# which gets an error and ends; nothing hangs, what was flushed is there when the volume is served again.
# Seen to fail without --force.
. tests/vm/lib.sh
z_setup
z_format d --size 64M --devices 2
z_start d
dev=$(z_dev d 0) dev1=$(z_dev d 1)
z_put "$dev1" 0 16 keep
z_flush "$dev1"
z_bg fio fio --name=d --filename="$dev" --rw=randrw --bs=16k --direct=1 --ioengine=libaio --iodepth=16 --size=32M \
	--time_based --runtime=60 --output-format=terse
exec 8< "$dev1"
sleep 3
z_running fio || { cat "$Z/fio.out"; zt_fail "fio ended early"; }
z_fails '(open|use|force)' zerofs detach d
z_is d LIVE
z_running fio || zt_fail "a refused detach ended fio"

zt_say "detach --force"
timeout 30 zerofs detach --force d || zt_fail "detach --force"
zt_wait 10 test ! -e "/sys/block/${dev#/dev/}"
z_rc fio 20
[ "$Z_RC" != 0 ] || zt_fail "fio did not notice"
if dd if=/dev/fd/8 of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then zt_fail "a deleted device can be read"; fi
exec 8<&-
zt_wait 20 sh -c "! kill -0 ${Z_PID[d]}"
wait "${Z_PID[d]}" || zt_fail "the daemon ended with status $?"
unset 'Z_PID[d]'
rmmod zerofs
modprobe zerofs
z_start d
z_same "$(z_dev d 1)" 0 16 keep || zt_fail "flushed data is gone"
z_stop d
