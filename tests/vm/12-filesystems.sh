# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 270
# DESCRIPTION: ext4 and xfs, side by side on two devices of a volume: a tree of files survives unmount and a restart of the
# daemon, the checkers find nothing to say, and trimming after a deletion leaves the rest whole.
# Seen to fail with a daemon that forgets where in a frame a block lies.
. tests/vm/lib.sh
z_setup
z_format fs --size 400M --devices 2
z_start fs
modprobe ext4
modprobe xfs
mnt=$Z/mnt
mkdir -p "$mnt" "$Z/src"

# 200 files of noise, 100 that compress, sizes from nothing to 1 MiB, a few names and links.
(
	cd "$Z/src"
	z_noise tree $((12 << 20)) | split -b 61k - noise.
	seq 400000 | split -b 27k - text.
	mkdir -p a/b/c
	z_noise big $((1 << 20)) > a/b/big
	: > a/empty
	ln -s ../b/big a/b/c/link
	ln a/b/big a/b/c/hard
	mv noise.a[a-f] a/b/c
)

check_fs() { # KIND DEVICE
	case $1 in
	ext4) e2fsck -fn "$2" > "$Z/fsck" 2>&1 || { cat "$Z/fsck"; zt_fail "e2fsck"; } ;;
	xfs) xfs_repair -n "$2" > "$Z/fsck" 2>&1 || { cat "$Z/fsck"; zt_fail "xfs_repair"; } ;;
	esac
}

sums() { (cd "$mnt" && find . -type f ! -path './lost+found/*' -print0 | sort -z | xargs -0 sha256sum); }

kinds=(ext4 xfs)
for i in 0 1; do
	kind=${kinds[$i]}
	dev=$(z_dev fs $i)
	case $kind in
	ext4) mkfs.ext4 -q "$dev" ;;
	xfs) mkfs.xfs -q "$dev" ;;
	esac
	mount -t $kind "$dev" "$mnt"
	cp -a "$Z/src/." "$mnt"
	(cd "$mnt" && find . -type f -name 'text.*b' -delete && echo more >> a/b/big)
	sums > "$Z/sums.$kind"
	[ "$(wc -l < "$Z/sums.$kind")" -gt 200 ] || zt_fail "the tree is too small"
	umount "$mnt"
	check_fs $kind "$dev"
	zt_say "$kind: $(wc -l < "$Z/sums.$kind") files"
done

z_stop fs
z_start fs
for i in 0 1; do
	kind=${kinds[$i]}
	dev=$(z_dev fs $i)
	check_fs $kind "$dev"
	mount -t $kind "$dev" "$mnt"
	sums | cmp - "$Z/sums.$kind" || zt_fail "$kind: the files differ after the restart"
	rm -f "$mnt"/text.*
	sync -f "$mnt"
	fstrim "$mnt"
	sums > "$Z/sums.$kind"
	umount "$mnt"
	check_fs $kind "$dev"
	[ "$(z_counter "$dev" requests_discard)" -gt 0 ] || zt_fail "fstrim discarded nothing"
	mount -t $kind "$dev" "$mnt"
	sums | cmp - "$Z/sums.$kind" || zt_fail "$kind: trimming changed files"
	umount "$mnt"
	zt_say "$kind: whole after restart and trim"
done
z_stop fs
