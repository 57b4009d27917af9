#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Process 1 of a test guest. Runs what /mnt/share/plan lists (tests/vm/run.sh wrote it), one line a test:
#   NUMBER SECONDS BOOT SCRIPT [ARGUMENT...]      separated by tabs
# (a program finds the module loaded, a *.sh loads it itself) and leaves for each /mnt/share/NUMBER.{log,status,dmesg}; a test that left the guest in a state no other test should
# meet ends the boot early (NUMBER.dirty says why), and run.sh boots again for the rest.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=dumb ZT_GUEST=1 ZT_SHARE=/mnt/share
export ZT_TOP=$1
export PATH=$ZT_TOP/build:$ZT_TOP/build/tests/kernel:$ZT_TOP/build/tests/vm:$PATH
umask 022

ip link set lo up 2>/dev/null
# No udev here: what bash needs for <(...).
ln -sfn /proc/self/fd /dev/fd
mkdir -p /dev/disk/by-id
for s in /sys/block/vd*/serial; do
	[ -s "$s" ] || continue
	disk=${s%/serial}
	ln -s "/dev/${disk##*/}" "/dev/disk/by-id/virtio-$(tr -d '\0' < "$s")"
done
cd "$ZT_TOP" || exit 1

# Why the guest is not fit for a further test, or nothing.
leftovers() {
	local p
	p=$(awk '$2 ~ /^\/dev\/zerofs/ { print $2 }' /proc/mounts | head -1)
	[ -n "$p" ] && { echo "$p is still mounted"; return; }
	# Those with a program behind them: on 6.1 a kernel thread of the module has that name too.
	p=$(for p in $(pgrep -x zerofs); do [ -e "/proc/$p/exe" ] && echo -n "$p "; done)
	[ -n "$p" ] && { echo "daemons are still running: $p"; return; }
	if [ -d /sys/module/zerofs ] && ! rmmod zerofs 2>/dev/null; then
		echo "the module cannot be unloaded"
	fi
}

run_test() {
	local n=$1 seconds=$2 boot=$3 script=$4 log=/mnt/share/$1.log rc left
	shift 4
	dmesg -C
	date +%s.%N > "/mnt/share/$n.started"
	case $script in
	*.sh) set -- bash "$script" "$@" ;;
	*) set -- "$script" "$@"; modprobe zerofs >> "$log" 2>&1 ;;
	esac
	ZT_BOOT=$boot setsid timeout -k 10 "$seconds" "$@" < /dev/null >> "$log" 2>&1
	rc=$?
	if [ $rc = 124 ] || [ $rc = 137 ]; then
		{
			echo "zt: no end after $seconds s; what still runs, and tasks that are stuck:"
			ps axHo pid,tid,stat,wchan:24,args | grep -v '\[.*\]$' | tail -n +3 | head -40
			echo w > /proc/sysrq-trigger
			dmesg | grep -A14 'state:D' | head -60
		} >> "$log"
	fi
	left=$(leftovers)
	dmesg > "/mnt/share/$n.dmesg"
	[ -n "$left" ] && echo "$left" > "/mnt/share/$n.dirty"
	# Written last: its presence says that the test came to an end.
	echo $rc > "/mnt/share/$n.status"
	sync -f /mnt/share
	[ $rc = 0 ] || [ $rc = 77 ] || return 1
	[ -z "$left" ]
}

while IFS=$'\t' read -r -a f <&3; do
	run_test "${f[@]}" || break
done 3< /mnt/share/plan
sync
echo b > /proc/sysrq-trigger
sleep 60
