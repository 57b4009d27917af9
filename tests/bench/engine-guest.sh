# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# In the guest: the real engine, for driver.py's copies per byte. Hot writes and hot reads by fio on a volume that fits the
# cache. The kernel says itself how much it copied; the daemon's copies are counted from outside, with raw frames, since what
# a codec moves about within itself is no copy of ours. Counters before and after go to $ZT_SHARE/out/engine.*.
. tests/vm/lib.sh
z_setup
z_format bench --size 64M
z_count_copies
z_start bench --memory 256M --zstd-level 0
dev=$(z_dev bench)

counters() { # read|write
	printf '{"bytes": %s, "kernel_copied": %s, "daemon_copied": %s, "reissued": %s}\n' "$(z_counter "$dev" "bytes_$1")" \
		"$(z_counter "$dev" "bytes_copied_$1")" "$(z_copied)" "$(z_counter "$dev" reissued)"
}

job() { # FIO-OPTIONS...
	fio --name=engine --filename="$dev" --direct=1 --ioengine=libaio --iodepth=16 --size=48M "$@" --output=/tmp/fio.engine ||
		{ cat /tmp/fio.engine; zt_fail "fio"; }
}

for kind in write read; do
	if [ $kind = read ]; then
		# Everything durable, then everything in the cache: what is measured is hot.
		z_flush "$dev"
		job --rw=read --bs=128k
		job --rw=read --bs=4k
	fi
	counters $kind > "$ZT_SHARE/out/engine.$kind.before"
	job --rw=rand$kind --bs=4k
	job --rw=$kind --bs=128k
	counters $kind > "$ZT_SHARE/out/engine.$kind.after"
	zt_say "real engine, hot ${kind}s: $(paste -sd' ' "$ZT_SHARE/out/engine.$kind.before" "$ZT_SHARE/out/engine.$kind.after")"
done
z_stop bench
