# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 120
# DESCRIPTION: one copy per byte each way with the real engine: hot reads and writes are copied once, by the kernel, and not
# at all by the daemon; as many bytes come back as were asked for.
# Made to fail once by reading the volume cold (the daemon copies out of the codec) and counting that as hot.
. tests/vm/lib.sh
z_setup
z_format cp --size 64M
z_start cp --memory 256M
dev=$(z_dev cp)

# Counters: kernel and daemon, in bytes.
declare -A c
snap() {
	local a
	for a in bytes_read bytes_write bytes_copied_read bytes_copied_write reissued; do
		c[$a]=$(z_counter "$dev" $a)
	done
	c[daemon_read]=$(z_json cp .bytes_copied_read)
	c[daemon_write]=$(z_json cp .bytes_copied_write)
}
run() { # NAME rw bs
	fio --name=c --filename="$dev" --rw="$2" --bs="$3" --direct=1 --ioengine=libaio --iodepth=16 --size=16M \
		--output-format=terse --output="$Z/fio.out" || zt_fail "fio $1"
}
# total read|write: sets copied and asked to what the counters say now
total() {
	copied=$((${c[bytes_copied_$1]} + ${c[daemon_$1]}))
	asked=${c[bytes_$1]}
}
# ratio read|write: of what happened since total
ratio() {
	local n=$copied m=$asked r
	snap
	total "$1"
	n=$((copied - n)) m=$((asked - m))
	r=$(bc <<< "scale=3; $n / $m")
	zt_say "$1_copied_per_byte: $n bytes copied for $m: $r"
	[ $m -ge $((32 << 20)) ] || zt_fail "fio did not $1 what it was to"
	[ $n = $m ] || zt_fail "$1: $r copies per byte"
}

snap
total write
run "random write" randwrite 4k
run "sequential write" write 128k
z_flush "$dev"
ratio write

# Everything into the cache, then hot.
run "warm-up" read 128k
run "warm-up" randread 4k
snap
total read
run "random read" randread 4k
run "sequential read" read 128k
ratio read
[ "${c[reissued]}" = 0 ] || zt_fail "requests were delivered again"
z_stop cp
