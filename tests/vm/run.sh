#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Boots a test kernel in QEMU with this machine's / as its root (read-only, under an overlay in memory) and runs scripts or
# programs in it as root, from the checkout's top folder. docs/testing.md says how a test is written.
set -euo pipefail

usage() {
	cat <<'U'
usage: tests/vm/run.sh [OPTION...] SCRIPT [ARGUMENT...]
       tests/vm/run.sh [OPTION...] -s SCRIPT [-s SCRIPT...]     several tests in one boot
  -k main|second         which kernel of tests/vm/kernels.conf (main)
  -t SECONDS             time limit of one test (300)
  -m MEGABYTES           memory of the guest (4096)
  -d FILE[:SERIAL[:ro]]  a raw disk, /dev/disk/by-id/virtio-SERIAL in the guest (repeatable)
  -b BOOTS               boots of one SCRIPT on the same disks ($ZT_BOOT = 1, 2, ...); each but the last must end in the power
                         cut that the script asks for (zt_power_cut of tests/vm/guestlib.sh)
  -c FOLDER              copies of the disks as they were when the last boot began
  -o FOLDER              where console, logs and `results` go (build/vm/run/NAME.KERNEL)
  -v                     show what the tests print while they run (also VERBOSE=1)
Results of a test besides its log: what it puts into $ZT_SHARE/out, found in FOLDER/share/out.
Exit status: 0 if every test passed, 77 if all that did not pass were skipped, else 1.
U
}

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=$(realpath -m "${ZEROFS_CACHE:-/var/cache/zerofs-test}")
role=main limit=300 mem=4096 boots=1 copies='' out='' verbose=${VERBOSE:-} disks=() tests=() names=()

while getopts k:t:m:d:b:c:o:s:vh opt; do
	case $opt in
	k) role=$OPTARG ;;
	t) limit=$OPTARG ;;
	m) mem=$OPTARG ;;
	d) disks+=("$OPTARG") ;;
	b) boots=$OPTARG ;;
	c) copies=$OPTARG ;;
	o) out=$OPTARG ;;
	s) tests+=("$OPTARG") ;;
	v) verbose=1 ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -gt 0 ]; then
	tests+=("$(IFS=$'\t'; echo "$*")")
fi
[ ${#tests[@]} -gt 0 ] || { usage >&2; exit 2; }
[ "$boots" = 1 ] || [ ${#tests[@]} = 1 ] || { echo "run.sh: -b goes with one script" >&2; exit 2; }

kv=$("$here/kernels.sh" version "$role")
img=$cache/kernels/$kv
[ -e "$img/boot/vmlinuz-$kv" ] || { echo "run.sh: no image of $kv in $cache; run: make setup" >&2; exit 1; }
for t in "${tests[@]}"; do
	t=${t%%$'\t'*}
	[ -f "$top/$t" ] || [ -f "$t" ] || { echo "run.sh: no such script: $t" >&2; exit 2; }
	t=${t##*/}
	names+=("${t%.sh}")
done
out=$(realpath -m "${out:-$top/build/vm/run/${names[0]}.$role}")
share=$out/share
results=$out/results
work=$(mktemp -d)
qemu_pid=
cleanup() {
	[ -z "$qemu_pid" ] || kill -KILL "$qemu_pid" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '[%7.1f] vm %s: %s\n' "$(bc <<< "$EPOCHREALTIME - $t0")" "$role" "$*"; }
t0=$EPOCHREALTIME

# ---- what the guest boots from -----------------------------------------------------------

# The kernel's own modules as links, with zerofs.ko beside them, so that `modprobe zerofs` works in the guest. depmod takes
# seconds, so it runs only when what it would find has changed.
make_module_tree() {
	local tree=$top/build/vm/modules/$kv ko=$top/build/module/$kv/zerofs.ko key=none lib
	lib=$tree/lib/modules/$kv
	[ ! -e "$ko" ] || key=$(modinfo -F depends "$ko"; modinfo -F alias "$ko"; modinfo -F softdep "$ko")
	key="$img $(stat -c %Y "$img/boot/vmlinuz-$kv") $key"
	[ "$(cat "$tree/key" 2>/dev/null)" != "$key" ] || return 0
	rm -rf "$tree"
	mkdir -p "$tree/lib/modules"
	cp -rs "$img/lib/modules/$kv" "$lib"
	if [ -e "$ko" ]; then
		mkdir "$lib/updates"
		ln -s "$ko" "$lib/updates/zerofs.ko"
	else
		echo "run.sh: note: zerofs.ko is not built for $kv (make module)" >&2
	fi
	depmod -b "$tree" "$kv"
	echo "$key" > "$tree/key"
}

make_initrd() {
	local root=$work/root f m
	mkdir -p "$root"/{bin,mod,proc,sys,dev,lower,rw,new}
	cp /bin/busybox "$root/bin/"
	cp "$here/init" "$root/init"
	for m in virtio_pci virtio_blk 9pnet_virtio 9p overlay; do
		modprobe -d "$img" -S "$kv" --show-depends "$m"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$work/modules"
	while read -r f; do
		m=$(basename "$f")
		m=${m%%.ko*}
		case $f in
		*.xz) xz -dc "$f" > "$root/mod/$m.ko" ;;
		*) cp "$f" "$root/mod/$m.ko" ;;
		esac
		echo "$m"
	done < "$work/modules" > "$root/mod/order"
	(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) > "$work/initrd"
}

# KVM is taken only where a guest really comes up under it: /dev/kvm alone proves nothing.
pick_accel() {
	local tcg=tcg,thread=multi,tb-size=512
	case ${ZEROFS_ACCEL:-} in
	kvm) echo kvm; return ;;
	tcg) echo $tcg; return ;;
	esac
	if [ ! -e "$top/build/vm/accel" ]; then
		echo $tcg > "$top/build/vm/accel"
		if [ -w /dev/kvm ] && timeout -s KILL 10 qemu-system-x86_64 -accel kvm -cpu max -m 512 -nic none -display none \
			-monitor none -serial stdio -no-reboot -kernel "$img/boot/vmlinuz-$kv" -initrd "$work/initrd" \
			-append "console=ttyS0 no_timer_check quiet panic=-1 zt.probe" < /dev/null 2>/dev/null | grep -aq zt-probe-ok; then
			echo kvm > "$top/build/vm/accel"
		fi
	fi
	cat "$top/build/vm/accel"
}

# ---- one boot ----------------------------------------------------------------------------

# boot SECONDS: runs a guest until it ends; sets ended to end, cut (the guest asked for it) or limit.
boot() {
	local i=0 d file serial ro args=() line tail_pid='' cut_pid
	for d in "${disks[@]}"; do
		IFS=: read -r file serial ro <<< "$d"
		args+=(-drive "file=$file,format=raw,if=none,id=d$i,cache=writeback,discard=unmap${ro:+,readonly=on}"
			-device "virtio-blk-pci,drive=d$i,serial=${serial:-disk$i}")
		i=$((i + 1))
	done
	rm -f "$work"/ctl.*
	mkfifo "$work/ctl.in" "$work/ctl.out"
	# ERMS and FSRM off: TCG runs `rep movsb` far slower than a copy loop, which would distort every ratio.
	qemu-system-x86_64 -accel "$accel" -cpu max,-erms,-fsrm -smp 2 -m "$mem" -display none -monitor none -nic none -no-reboot \
		-serial file:"$out/console" -chardev pipe,id=ctl,path="$work/ctl" -serial chardev:ctl \
		-kernel "$img/boot/vmlinuz-$kv" -initrd "$work/initrd" \
		-append "console=ttyS0 no_timer_check quiet loglevel=5 panic=-1 kfence.sample_interval=10 zt.kv=$kv zt.top=$top zt.cache=$cache" \
		-virtfs local,path=/,mount_tag=rootfs,security_model=none,readonly=on,multidevs=remap \
		-virtfs local,path="$share",mount_tag=share,security_model=none \
		"${args[@]}" < /dev/null > "$out/qemu.log" 2>&1 &
	qemu_pid=$!
	disown $qemu_pid
	echo $qemu_pid > "$out/pid"
	rm -f "$work/cut"
	(
		while IFS= read -r line; do
			case $line in
			*zt-power-cut*) touch "$work/cut"; kill -KILL $qemu_pid; break ;;
			esac
		done < "$work/ctl.out"
	) 2>/dev/null &
	cut_pid=$!
	if [ -n "$verbose" ]; then
		# What earlier boots wrote to the same log has been shown.
		tail -q -n "$([ "$round" = 1 ] && echo +1 || echo 0)" -s 0.3 -F "${logs[@]}" --pid=$qemu_pid 2>/dev/null &
		tail_pid=$!
	fi
	ended=end
	local end=$((SECONDS + $1)) look=$((SECONDS + 5)) current=$n up_by=$((SECONDS + 90))
	while kill -0 $qemu_pid 2>/dev/null; do
		if [ $SECONDS -ge $look ]; then
			# The guest ends a test whose time is up; one that does not come to that hangs.
			look=$((SECONDS + 5))
			while [ -e "$share/$current.status" ]; do current=$((current + 1)); done
			if [ ! -e "$share/$n.started" ] && [ $SECONDS -ge $up_by ]; then
				end=0
			elif [ -e "$share/$current.started" ] &&
				[ $(($(date +%s) - $(stat -c %Y "$share/$current.started"))) -gt $((limits[current] + 40)) ]; then
				end=0
			fi
		fi
		if [ $SECONDS -ge $end ]; then
			ended=limit
			kill -KILL $qemu_pid
		fi
		sleep 0.2
	done
	qemu_pid=
	[ ! -e "$work/cut" ] || ended='cut'
	kill $cut_pid 2>/dev/null || true
	[ -z "$tail_pid" ] || wait $tail_pid 2>/dev/null || true
}

# What a test that fails made of its disks says less than what it found.
copy_disks() {
	local d file serial
	[ -n "$copies" ] || return 0
	mkdir -p "$copies"
	for d in "${disks[@]}"; do
		IFS=: read -r file serial _ <<< "$d"
		cp --sparse=always --reflink=auto "$file" "$copies/${serial:-${file##*/}}"
	done
}

# ---- verdicts ----------------------------------------------------------------------------

bad='BUG:|WARNING:|Oops|KFENCE:|KASAN:|KCSAN:|UBSAN:|INFO: (task|possible|rcu|trying)|rcu:.*stall|blocked for more than'
bad+='|general protection fault|Kernel panic|soft lockup|hard LOCKUP|possible circular locking|possible recursive locking|kmemleak:'

# directive NAME TEST: what the lines `vm-NAME: ...` in the comments of a test's source say.
directive() {
	local src=${2%%$'\t'*}
	src=${src#"$top/"}
	[ "${src%.sh}" != "$src" ] || src=${src#build/}.c
	sed -nE "s/^[#* \t]*vm-$1: //p" "$top/$src" 2>/dev/null || true
}

# kernel_complaints FILE TEST: prints what the kernel complained about, but for lines the script says it provokes.
kernel_complaints() {
	local allow
	allow=$(directive expect "$2" | paste -sd'|')
	[ -e "$1" ] || return 0
	grep -aE "$bad" "$1" | { if [ -n "$allow" ]; then grep -avE "$allow"; else cat; fi; } | head -5 || true
}

failed=0 skipped=0
verdict() { # NUMBER PASS|FAIL|SKIP REASON
	local name=${names[$1]} took=0 started=$share/$1.started
	[ ! -e "$started" ] || [ ! -e "$share/$1.log" ] || took=$(($(stat -c %Y "$share/$1.log") - $(cut -d. -f1 "$started")))
	[ $took -ge 0 ] || took=0
	printf '%s\t%s\t%s\t%s\n' "$2" "$name" "$took" "$3" >> "$results"
	case $2 in
	PASS) say "$name: ok (${took} s)" ;;
	SKIP) skipped=$((skipped + 1)); say "$name: skipped: $3" ;;
	FAIL)
		failed=$((failed + 1))
		say "$name: FAILED: $3"
		if [ -z "$verbose" ] && [ -s "$share/$1.log" ]; then
			echo "---- last lines of $share/$1.log"
			tail -40 "$share/$1.log"
		fi
		if [ -s "$share/$1.dmesg" ]; then
			echo "---- last lines of the kernel's log"
			tail -15 "$share/$1.dmesg"
		fi ;;
	esac
}

judge() { # NUMBER of a test that came to an end
	local n=$1 rc complaints
	rc=$(cat "$share/$n.status")
	complaints=$(kernel_complaints "$share/$n.dmesg" "${tests[$n]}")
	if [ -n "$complaints" ]; then
		verdict "$n" FAIL "the kernel complained: ${complaints%%$'\n'*}"
	elif [ "$rc" = 77 ]; then
		verdict "$n" SKIP "$(sed -n 's/^SKIP: //p' "$share/$n.log" | tail -1)"
	elif [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
		verdict "$n" FAIL "time limit of ${limits[$n]} s"
	elif [ "$rc" != 0 ]; then
		verdict "$n" FAIL "status $rc"
	elif [ -s "$share/$n.dirty" ]; then
		verdict "$n" FAIL "left behind: $(cat "$share/$n.dirty")"
	else
		verdict "$n" PASS ''
	fi
}

# ---- main --------------------------------------------------------------------------------

mkdir -p "$cache"
exec 9> "$cache/vm.lock"
flock -n 9 || { say "waiting for another guest to end"; flock 9; }
# Not before: the guest that was waited for may write to the same folder.
rm -rf "$out"
mkdir -p "$share/out"
: > "$results"

make_module_tree
make_initrd
accel=$(pick_accel)

limits=()
for t in "${tests[@]}"; do
	l=$(directive limit "$t")
	limits+=("${l:-$limit}")
done

n=0
last=${#tests[@]}
round=1
retries=2
while [ $n -lt "$last" ]; do
	: > "$share/plan"
	logs=()
	total=90
	for ((i = n; i < last; i++)); do
		printf '%s\t%s\t%s\t%s\n' "$i" "${limits[$i]}" "$round" "${tests[$i]}" >> "$share/plan"
		logs+=("$share/$i.log")
		total=$((total + limits[i] + 15))
	done
	rm -f "$share/$n.status" "$share/$n.started"
	copy_disks
	say "booting $kv (${accel%%,*})${boots:+$([ "$boots" = 1 ] || echo ", boot $round of $boots")}"
	boot $total
	if [ ! -e "$share/$n.started" ] && [ $retries -gt 0 ]; then
		# Emulation on a busy machine: nothing of ours has run yet, so this says nothing about it.
		retries=$((retries - 1))
		cp "$out/console" "$out/console.stuck.$retries"
		say "the guest did not come up; trying again"
		continue
	fi
	if [ $round -lt "$boots" ]; then
		complaints=$(kernel_complaints "$out/console" "${tests[$n]}")
		if [ -n "$complaints" ]; then
			verdict $n FAIL "boot $round: the kernel complained: ${complaints%%$'\n'*}"
			break
		elif [ $ended != cut ]; then
			verdict $n FAIL "boot $round ended without the power cut it was to ask for"
			break
		fi
		say "power cut"
		cp "$out/console" "$out/console.$round"
		round=$((round + 1))
		continue
	fi
	if [ ! -e "$share/$n.started" ]; then
		echo "---- last lines of the console"
		tail -n 30 "$out/console" "$out/qemu.log"
		for ((i = n; i < last; i++)); do verdict $i FAIL "the guest did not start"; done
		break
	fi
	while [ $n -lt "$last" ] && [ -e "$share/$n.status" ]; do
		judge $n
		n=$((n + 1))
	done
	if [ $n -lt "$last" ] && [ -e "$share/$n.started" ]; then
		complaints=$(kernel_complaints "$out/console" "${tests[$n]}")
		case $ended in
		cut) why="asked for a power cut in its last boot" ;;
		limit) why="the guest hung" ;;
		*) why="the guest died" ;;
		esac
		verdict $n FAIL "$why${complaints:+: ${complaints%%$'\n'*}}"
		tail -20 "$out/console"
		n=$((n + 1))
	fi
	cp "$out/console" "$out/console.$round.$n"
done

[ $failed = 0 ] || exit 1
[ $skipped = 0 ] || exit 77
exit 0
