# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# In the guest: mounts the disks that demo.sh gave it and runs the demonstration on them.
# shellcheck source=tests/vm/guestlib.sh
. tests/vm/guestlib.sh

mkdir -p /tmp/data /tmp/store
mount -o ro "$(zt_disk data)" /tmp/data
mkfs.ext4 -q -F -E lazy_itable_init=1 "$(zt_disk store)"
mount "$(zt_disk store)" /tmp/store
status=0
bash tests/demo/guest.sh /tmp/data /tmp/store "$(zt_disk plain)" build/zerofs || status=$?
umount /tmp/store /tmp/data
exit $status
