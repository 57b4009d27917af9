# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: one copy per byte each way with the real engine: hot reads and writes are copied once, by the kernel, and not
# at all by the daemon. The daemon's share is what a library between it and memcpy() counts.
. tests/vm/lib.sh
z_setup
z_format cp --size 64M
# Raw frames: what a codec moves about within itself is not a copy of ours, but the library would count it.
z_count_copies
z_start cp --memory 256M --zstd-level 0
dev=$(z_dev cp)

# Counters: kernel and daemon, in bytes.
declare -A c
snap() {
	local a
	for a in bytes_read bytes_write bytes_copied_read bytes_copied_write reissued; do
		c[$a]=$(z_counter "$dev" $a)
	done
	c[daemon]=$(z_copied)
}
run() { # NAME rw bs
	fio --name=c --filename="$dev" --rw="$2" --bs="$3" --direct=1 --ioengine=libaio --iodepth=16 --size=8M \
		--output-format=terse --output="$Z/fio.out" || zt_fail "fio $1"
}
# begin read|write, then ratio read|write: of what happened in between
begin() {
	snap
	kernel=${c[bytes_copied_$1]} daemon=${c[daemon]} asked=${c[bytes_$1]}
}
ratio() {
	local n m moved
	snap
	moved=$((${c[daemon]} - daemon))
	m=$((${c[bytes_$1]} - asked))
	n=$((${c[bytes_copied_$1]} - kernel))
	zt_say "$1_copied_per_byte: $(bc <<< "scale=3; ($n + $moved) / $m"): for $m bytes the kernel copied $n, the daemon $moved"
	[ $m -ge $((16 << 20)) ] || zt_fail "fio did not $1 what it was to"
	[ $n = $m ] || zt_fail "not one copy per byte"
	# Tables and lists of the engine grow now and then; a hundredth of the data is far from a copy of it.
	[ $moved -lt $((m / 100)) ] || zt_fail "the daemon copies"
}

begin write
run "random write" randwrite 4k
run "sequential write" write 128k
z_flush "$dev"
ratio write

# Everything into the cache, then hot.
run "warm-up" read 128k
run "warm-up" randread 4k
begin read
run "random read" randread 4k
run "sequential read" read 128k
ratio read
[ "${c[reissued]}" = 0 ] || zt_fail "requests were delivered again"
z_stop cp
