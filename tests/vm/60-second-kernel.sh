# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# vm-kernels: second
# DESCRIPTION: the older kernel: module and daemon, fio --verify, ext4 with fsck, one kill -9 under load, restart.
. tests/vm/lib.sh
z_setup
z_format o --size 256M
z_start o --queues 2,2
dev=$(z_dev o)
z_bg fio fio --name=o --filename="$dev" --rw=randwrite --bsrange=4k-64k --blockalign=4k --direct=1 --ioengine=libaio \
	--iodepth=16 --size=24M --loops=2 --fsync=100 --verify=crc32c --verify_fatal=1 --verify_backlog=64 --output-format=terse
busy() { [ "$(z_counter "$dev" requests_write)" -ge 100 ]; }
zt_wait 30 busy
z_running fio || { cat "$Z/fio.out"; zt_fail "fio ended before the kill"; }
# Stopped first, so that requests wait in the rings when it dies.
kill -STOP "${Z_PID[o]}"
sleep 0.5
z_kill o
z_start o
z_is o LIVE
z_rc fio 60
[ "$Z_RC" = 0 ] || { cat "$Z/fio.out"; zt_fail "fio"; }
reissued=$(z_counter "$dev" reissued)
zt_say "fio and a kill: no error; $reissued requests delivered again"
[ "$reissued" -ge 1 ] || zt_fail "no request was in flight at the kill"

modprobe ext4
mkfs.ext4 -q -F "$dev"
mkdir -p "$Z/mnt"
mount "$dev" "$Z/mnt"
z_noise tree $((6 << 20)) | (cd "$Z/mnt" && split -b 61k - f.)
(cd "$Z/mnt" && sha256sum f.* > "$Z/sums")
umount "$Z/mnt"
e2fsck -fn "$dev" > "$Z/fsck" 2>&1 || { cat "$Z/fsck"; zt_fail "e2fsck"; }
z_stop o
z_start o
dev=$(z_dev o)
e2fsck -fn "$dev" > "$Z/fsck" 2>&1 || { cat "$Z/fsck"; zt_fail "e2fsck after the restart"; }
mount "$dev" "$Z/mnt"
(cd "$Z/mnt" && sha256sum --quiet -c "$Z/sums")
rm "$Z"/mnt/f.*
fstrim "$Z/mnt"
umount "$Z/mnt"
z_stop o
