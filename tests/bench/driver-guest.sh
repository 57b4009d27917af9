# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# In the guest: the same fio jobs on a null target behind zerofs, nbd and ublk. All three are up at the same time, idle but for
# the one under test, and take turns job by job, so that whatever else the machine does meets all of them alike. What fio says
# and the targets' own counters go to $ZT_SHARE/out/TARGET.JOB.QUEUES.ROUND.{fio,before,after}; driver.py makes figures of them.
. tests/vm/guestlib.sh
. tests/bench/jobs.sh
out=$ZT_SHARE/out
targets=(zerofs nbd ublk)
declare -A disk pid fd

# ---- targets -----------------------------------------------------------------------------

# A null server of ours: a pipe to its stdin, its stdout in a file.
start_ours() { # TARGET PROGRAM QUEUES DISK-PREFIX
	local n in=/tmp/$1.in outf=/tmp/$1.out
	rm -f "$in"
	mkfifo "$in"
	: > "$outf"
	"build/tests/bench/$2" -q "$3" < "$in" >> "$outf" 2>&1 &
	pid[$1]=$!
	exec {n}> "$in"
	fd[$1]=$n
	zt_wait 30 grep -q ^ready "$outf"
	disk[$1]=$4$(awk '/^ready/ { print $2 }' "$outf")
	zt_wait 10 test -b "${disk[$1]}"
}

stop_ours() { # TARGET
	local to=${fd[$1]}
	echo q >&"$to"
	exec {to}>&-
	wait "${pid[$1]}" || zt_fail "the null server of $1 ended with an error: $(tail -3 "/tmp/$1.out")"
}

start() { # TARGET QUEUES
	case $1 in
	zerofs) modprobe zerofs; start_ours zerofs ring_null "$2" /dev/zerofs ;;
	ublk) modprobe ublk_drv; start_ours ublk ublk_null "$2" /dev/ublkb ;;
	nbd)
		modprobe nbd nbds_max=1
		rm -f /tmp/nbd.sock
		nbdkit -f -U /tmp/nbd.sock null size=4G > /tmp/nbdkit.log 2>&1 &
		pid[nbd]=$!
		zt_wait 20 test -S /tmp/nbd.sock
		nbd-client -unix /tmp/nbd.sock /dev/nbd0 -b 4096 -C "$2" > /tmp/nbd-client.log 2>&1 ||
			zt_fail "nbd-client: $(cat /tmp/nbd-client.log)"
		disk[nbd]=/dev/nbd0 ;;
	esac
}

stop() { # TARGET
	if [ "$1" != nbd ]; then
		stop_ours "$1"
		return
	fi
	nbd-client -d /dev/nbd0 > /dev/null 2>&1
	kill "${pid[nbd]}"
	wait "${pid[nbd]}" || true
}

# One line of JSON. nbdkit counts nothing itself.
counters() { # TARGET
	local n f=/tmp/$1.out to=${fd[$1]:-}
	[ "$1" != nbd ] || { echo '{}'; return; }
	n=$(wc -l < "$f")
	echo >&"$to"
	zt_wait 10 awk -v n="$n" 'END { exit NR <= n }' "$f"
	tail -1 "$f"
}

# ---- the jobs ----------------------------------------------------------------------------

run_job() { # TARGET ROUND JOB QUEUES FIO-OPTIONS...
	local target=$1 round=$2 job=$3 queues=$4 f=$out/$1.$3.$4.$2 pin=()
	shift 4
	[ "$queues" = 1 ] ||
		pin=(--numjobs="$queues" --cpus_allowed=0-$((queues - 1)) --cpus_allowed_policy=split --offset_increment=1G)
	counters "$target" > "$f.before"
	# shellcheck disable=SC2086
	fio --name="$job" --filename="${disk[$target]}" $bench_common "${pin[@]}" "$@" --output-format=json --output=/tmp/fio.json \
		> /dev/null || zt_fail "fio $job on $target"
	counters "$target" > "$f.after"
	cp /tmp/fio.json "$f.fio"
	jq -r '.jobs[0] | .read.iops + .write.iops | floor' /tmp/fio.json
}

for queues in 1 2; do
	for target in "${targets[@]}"; do start "$target" $queues; done
	for job in "${bench_jobs[@]}"; do
		read -r -a f <<< "$job"
		[ "${f[1]}" = $queues ] || continue
		line=
		for ((round = 1; round <= bench_rounds; round++)); do
			for target in "${targets[@]}"; do
				line+=" $target $(run_job "$target" $round "${f[0]}" $queues "${f[@]:2}")"
			done
		done
		zt_say "$queues queue(s), ${f[0]}, IOPS:$line"
	done
	for target in "${targets[@]}"; do stop "$target"; done
done
