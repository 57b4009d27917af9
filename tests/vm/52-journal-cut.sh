# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 300
# vm-boots: 2
# vm-disk: store 512M
# vm-disk: raw 64M
# vm-disk: journals 256M
# vm-disk: control 512M
# DESCRIPTION: the power fails under four volumes that flush to a local journal while their store is away, so that what was
# flushed is in the journal or nowhere. Journals: a raw disk, a file on ext4, and a loop device over a file on ext4, whose
# cache of writes is the guest's memory, so that only what was really flushed outlives the cut. The control's journal lies on
# such a loop device too, but its daemon does not ask for durable writes: its loss must be noticed, or this test proves nothing.
# What it was seen to notice is the control.
. tests/vm/lib.sh
z_setup
log=$ZT_SHARE/out
# As late as ext4 allows, and no writeback in between: what is not flushed is not there after the cut.
opt=noatime,commit=300
echo 0 > /proc/sys/vm/dirty_writeback_centisecs
mkdir -p "$Z/a" "$Z/b" "$Z/j"
modprobe loop max_loop=4
names=(raw file loop control)
stamps() { echo --tag "$1" --seed "6$1" --blocks 2048 --discard 5 --fua 2 --ops 100000; }
declare -A under=([control]="$ZT_TOP/build/tests/vm/nodsync.so:")

# Where things of volume NAME are: the control has a disk of its own, so that nobody else's fsync helps it.
place() {
	local d=$Z/a
	[ "$1" != control ] || d=$Z/b
	mkdir -p "$d/store"
	Z_STORE=$d/store Z_STATE=$d
	Z_UNDER=(env "LD_PRELOAD=${under[$1]:-}$ZT_TOP/build/tests/vm/storeaway.so" "STOREAWAY=$Z/away")
	case $1 in
	raw) journal=$(zt_disk raw) ;;
	file) journal=$Z/j/journal ;;
	loop) journal=/dev/loop0 ;;
	control) journal=/dev/loop1 ;;
	esac
}

if [ "$ZT_BOOT" = 1 ]; then
	for d in store:a journals:j control:b; do
		mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$(zt_disk ${d%:*})"
		mount -o $opt "$(zt_disk ${d%:*})" "$Z/${d#*:}"
	done
	cp "$Z/key" "$Z/a/key"
	fallocate -l 64M "$Z/j/loop"
	fallocate -l 64M "$Z/b/loop"
	losetup /dev/loop0 "$Z/j/loop"
	losetup /dev/loop1 "$Z/b/loop"
	for n in "${names[@]}"; do
		place "$n"
		z_format "$n" --size 64M
		zerofs journal create --size 64M --key-file "$Z/key" "$(z_url "$n")" "$journal" > /dev/null
		z_start "$n" --flush local --journal "$journal"
		z_put "$(z_dev "$n")" 3000 4 before
		z_flush "$(z_dev "$n")"
		zt_wait 30 sh -c "[ \$(zerofs stats --json $n | jq .dirty_bytes) = 0 ]"
	done
	# All that is there so far stays; what comes now lasts if it is flushed.
	sync
	touch "$Z/away"
	i=0
	for n in "${names[@]}"; do
		i=$((i + 1))
		# shellcheck disable=SC2046
		stamp write $(stamps $i) --flush-every 16 --log "$log/$n" "$(z_dev "$n")" &
	done
	for n in "${names[@]}"; do
		zt_wait 120 sh -c "[ \$(grep -c flushed $log/$n) -ge 8 ]"
		zt_say "$n: $(tail -1 "$log/$n"), $(zerofs status "$n" | grep pending:)"
		# the first segment is sent when it is two seconds old
		zt_wait 30 sh -c "[ \$(zerofs stats --json $n | jq .store_errno) != 0 ]"
	done
	zt_power_cut
fi

mount -o $opt "$(zt_disk store)" "$Z/a"
mount -o $opt "$(zt_disk journals)" "$Z/j"
mount -o $opt "$(zt_disk control)" "$Z/b"
cp "$Z/a/key" "$Z/key"
losetup /dev/loop0 "$Z/j/loop"
losetup /dev/loop1 "$Z/b/loop"
i=0
for n in "${names[@]}"; do
	i=$((i + 1)) rc=0
	place "$n"
	z_fails 'journal.*is open' zerofs serve --key-file "$Z/key" --state-dir "$Z_STATE/state.$n" "$(z_url "$n")"
	if ! z_try_start "$n" --flush local --journal "$journal"; then
		[ "$n" = control ] || zt_fail "$n does not come up: $(tail -1 "$Z/$n.log")"
		zt_say "the control's loss was noticed by the daemon: $(tail -1 "$Z/$n.log")"
		continue
	fi
	# shellcheck disable=SC2046
	stamp check $(stamps $i) --log "$log/$n" "$(z_dev "$n")" || rc=$?
	if [ "$n" = control ]; then
		[ $rc = 3 ] || zt_fail "the control, whose journal was never synced, was to lose what it had acknowledged (status $rc)"
		zt_say "the control's loss was noticed by the checker"
		z_stop "$n"
		continue
	fi
	[ $rc = 0 ] || zt_fail "$n: status $rc of the checker"
	z_same "$(z_dev "$n")" 3000 4 before || zt_fail "$n: what was in the store is gone"
	z_stop "$n"
	zt_say "$n: all of it is in the store, without the journal"
	z_start "$n"
	# shellcheck disable=SC2046
	stamp check $(stamps $i) --log "$log/$n" "$(z_dev "$n")"
	z_stop "$n"
done
losetup -D
umount "$Z/a" "$Z/j" "$Z/b"
