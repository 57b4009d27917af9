# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: a source tree on ext4 over the plugin on a bucket, without a kernel that knows NBD: nbdfuse makes a file of the export, and
# the kernel mounts that by a loop device (fuse2fs does it too, or alone where there are no loop devices). Unpacked, copied, renamed,
# removed; the same after a detach and a cold start; after a kill -9 in mid-write all that had been synced.
# limit: 240
# slow
. tests/s3/nbd.sh
# shellcheck disable=SC2034
filters=(--filter=blocksize) # e2fsprogs write single kilobytes
fuse='' fuse2fs='' mnt=$dir/mnt file=$dir/fuse/nbd
mkdir "$dir/fuse" "$mnt"
[ -e /dev/fuse ] || fail "no /dev/fuse: neither a kernel nor fuse2fs can mount what NBD serves"
mounted() { grep -qF " $1 " /proc/self/mounts; } # mountpoint asks the file system, whose server may be gone
umount_fs() {
	! mounted "$mnt" || umount "$mnt" 2> umount.log || umount -l "$mnt"
	# It writes on after umount has ended.
	[ -z "$fuse2fs" ] || wait "$fuse2fs" || true
	fuse2fs=
}
unmount() {
	umount_fs
	! mounted "$dir/fuse" || umount "$dir/fuse" 2> umount.log || umount -l "$dir/fuse"
	[ -z "$fuse" ] || wait "$fuse" 2> /dev/null || true
	fuse=
}
# up VOLUME: it is served, and $file is its export.
up() {
	start log "$(at "tree/$1")" "state-dir=$dir/state" memory=128M minblock=4096
	nbdfuse "$dir/fuse" "nbd+unix:///?socket=$sock" 2> fuse.log &
	fuse=$!
	for _ in $(seq 100); do
		[ ! -e "$file" ] || return 0
		sleep 0.1
	done
	cat fuse.log
	fail "nbdfuse does not start"
}
# cold: all is detached, and what this host kept is gone.
cold() {
	unmount
	stop log
	rm -rf state
}
mount_kernel() { mount -o loop "$file" "$mnt"; }
mount_fuse2fs() {
	fuse2fs "$file" "$mnt" -f -o rw,allow_other,no_default_opts > fuse2fs.log 2>&1 &
	fuse2fs=$!
	for _ in $(seq 100); do
		! mounted "$mnt" || return 0
		kill -0 "$fuse2fs" || return 1
		sleep 0.1
	done
}
# What is cold is read by several at once: diff alone would wait for the store at each file.
read_all() { find "$mnt" -name sparse -o -type f -print0 | xargs -0 -P 8 -n 32 cat > /dev/null; }
# check: of the file system, which is unmounted for it; nothing is mended.
check() {
	umount_fs
	e2fsck -fn "$file" > e2fsck.log 2>&1 || { cat e2fsck.log; fail "e2fsck finds something"; }
}
same() { # FOLDER OF ref
	diff -r --no-dereference -x lost+found "ref/$1" "$mnt/$1" > diff.log || { head diff.log; fail "$1 is not what it was"; }
}
# work WHERE TREE: what somebody does with a source tree.
work() (
	cd "$1"
	mkdir first
	tar x -C first -f "$dir/$2.tar"
	cp -a first second
	find second -name '*.h' -type f -print0 | xargs -0 rm
	mv first/daemon first/moved
	find first/moved -name '*.c' -exec sed -i 's/struct/STRUCT/' {} +
	rm -r first/kernel
	ln -s ../first/moved second/link
	truncate -s 100M sparse
	printf end | dd of=sparse bs=1 seek=50M conv=notrunc status=none
)
project=(-C "$ZT_TOP" --exclude __pycache__ daemon kernel docs tests man uapi)
tar c -f small.tar "${project[@]}"
includes=()
for d in linux asm-generic openssl; do [ ! -e "/usr/include/$d" ] || includes+=("$d"); done
tar c -f large.tar "${project[@]}" -C /usr/include "${includes[@]}"
s3 PUT /tree > /dev/null

tree() { # KIND TREE
	rm -rf ref
	mkdir ref
	work ref "$2"
	say "$1: $(find ref | wc -l) files and folders, $(du -sm ref | cut -f1) MB"
	zerofs format --size 1G --kdf min --key-file key "$(at "tree/$1")" > /dev/null
	up "$1"
	mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0 "$file"
	"mount_$1" || { cat fuse2fs.log; fail "mount: $1"; }
	work "$mnt" "$2"
	same .
	say "$1: worked in, and compared"
	unmount
	say "$1: unmounted"
	cold
	say "$1: detached"
	up "$1"
	"mount_$1"
	read_all
	say "$1: read"
	same .
	check
	say "$1: after a cold start: compared, and nothing to mend"
	"mount_$1"
}

: > fuse2fs.log
truncate -s 1M probe
if loop=$(losetup -f --show probe 2> probe.log); then
	losetup -d "$loop"
	tree kernel large
	mkdir "$mnt/third"
	sync -f "$mnt"
	(while tar x -C "$mnt/third" -f large.tar 2> /dev/null; do rm -r "$mnt/third" && mkdir "$mnt/third"; done) > /dev/null 2>&1 &
	writer=$!
	sleep "$((RANDOM % 2 + 1)).$RANDOM"
	kill -9 "$pid"
	wait "$pid" 2> /dev/null || true
	wait "$writer" || true
	unmount
	rm -rf state
	up kernel
	mount_kernel
	rm -rf "$mnt/third"
	same .
	check
	say "kernel: after a kill in mid-write: the journal played, compared, and nothing to mend"
	cold
else
	say "no loop device can be had here ($(cat probe.log)): the kernel's ext4 is not tried, nor a kill: fuse2fs writes no journal"
fi
tree fuse2fs small
cold
