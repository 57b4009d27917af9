# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 120
# vm-kernels: second
# DESCRIPTION: the older kernel: module and daemon, fio --verify, ext4 with fsck, one kill -9 under load, restart.
# Made to fail once by damaging the arena's index after the kill.
. tests/vm/lib.sh
z_setup
z_format o --size 256M
z_start o --queues 2,2
dev=$(z_dev o)
z_bg fio fio --name=o --filename="$dev" --rw=randwrite --bsrange=4k-64k --blockalign=4k --direct=1 --ioengine=libaio \
	--iodepth=16 --size=24M --fsync=100 --verify=crc32c --verify_fatal=1 --verify_backlog=64 --output-format=terse
sleep 3
z_running fio || { cat "$Z/fio.out"; zt_fail "fio ended before the kill"; }
z_kill o
z_start o
z_is o LIVE
[ "$(z_rc fio 60)" = 0 ] || { cat "$Z/fio.out"; zt_fail "fio"; }
zt_say "fio and a kill: no error; $(z_counter "$dev" reissued) requests delivered again"

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
