# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# In the guest: the same fio jobs on a null target behind zerofs, nbd and ublk, one after the other in one boot. What fio says
# and the targets' own counters go to $ZT_SHARE/out/TARGET.JOB.QUEUES.{fio,before,after}; driver.py makes figures of them.
. tests/vm/guestlib.sh
. tests/bench/jobs.sh
out=$ZT_SHARE/out

# ---- targets: start QUEUES sets $disk; counters prints a line of JSON; stop ends it --------------

# A null server of ours, with a pipe to its stdin and its stdout in a file.
start_ours() { # PROGRAM QUEUES DISK-PREFIX
	rm -f /tmp/null.in
	mkfifo /tmp/null.in
	: > /tmp/null.out
	"build/tests/bench/$1" -q "$2" < /tmp/null.in >> /tmp/null.out 2>&1 &
	null_pid=$!
	exec 7> /tmp/null.in
	zt_wait 30 grep -q ^ready /tmp/null.out
	disk=$3$(awk '/^ready/ { print $2 }' /tmp/null.out)
	zt_wait 10 test -b "$disk"
}
counters_ours() {
	local n
	n=$(wc -l < /tmp/null.out)
	echo >&7
	zt_wait 10 bash -c "[ \$(wc -l < /tmp/null.out) -gt $n ]"
	tail -1 /tmp/null.out
}
stop_ours() {
	exec 7>&-
	wait "$null_pid" || zt_fail "the null server ended with an error: $(tail -3 /tmp/null.out)"
}

start_zerofs() { modprobe zerofs; start_ours ring_null "$1" /dev/zerofs; }
counters_zerofs() { counters_ours; }
stop_zerofs() { stop_ours; }

start_ublk() { modprobe ublk_drv; start_ours ublk_null "$1" /dev/ublkb; }
counters_ublk() { counters_ours; }
stop_ublk() { stop_ours; }

start_nbd() {
	modprobe nbd nbds_max=1
	rm -f /tmp/nbd.sock
	nbdkit -f -U /tmp/nbd.sock null size=4G > /tmp/nbdkit.log 2>&1 &
	nbdkit_pid=$!
	zt_wait 20 test -S /tmp/nbd.sock
	nbd-client -unix /tmp/nbd.sock /dev/nbd0 -b 4096 -C "$1" > /tmp/nbd-client.log 2>&1 || zt_fail "nbd-client: $(cat /tmp/nbd-client.log)"
	disk=/dev/nbd0
}
# nbdkit counts nothing itself.
counters_nbd() { echo '{}'; }
stop_nbd() {
	nbd-client -d /dev/nbd0 > /dev/null 2>&1
	kill "$nbdkit_pid"
	wait "$nbdkit_pid" || true
}

# ---- the jobs ----------------------------------------------------------------------------

run_job() { # TARGET JOB QUEUES FIO-OPTIONS...
	local f=$out/$1.$2.$3 pin=()
	local target=$1 job=$2 queues=$3
	shift 3
	[ "$queues" = 1 ] || pin=(--numjobs="$queues" --cpus_allowed=0-$((queues - 1)) --cpus_allowed_policy=split --offset_increment=1G)
	"counters_$target" > "$f.before"
	# shellcheck disable=SC2086
	fio --name="$job" --filename="$disk" $bench_common "${pin[@]}" "$@" --output-format=json --output=/tmp/fio.json > /dev/null ||
		zt_fail "fio $job on $target"
	"counters_$target" > "$f.after"
	cp /tmp/fio.json "$f.fio"
	zt_say "$target, $queues queue(s), $job: $(jq -r '.jobs[0] | "\(.read.iops + .write.iops | floor) IOPS"' /tmp/fio.json)"
}

for queues in 1 2; do
	for target in zerofs nbd ublk; do
		disk=
		"start_$target" $queues
		[ -b "$disk" ] || zt_fail "$target: no disk"
		for job in "${bench_jobs[@]}"; do
			read -r -a f <<< "$job"
			[ "${f[1]}" = $queues ] || continue
			run_job $target "${f[0]}" $queues "${f[@]:2}"
		done
		"stop_$target"
	done
done
