#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make bench-s3`: reads, writes and idling over a store with the delays of S3, and the same jobs on s3backer. Prints tables, writes
# build/bench/s3.json.
# JOBS: which of them, all unless said. read, seq, idle: tests/bench/s3_*.c, in one process with the store; nbd, s3backer:
# tests/bench/s3_servers.py, over HTTP.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/bench/s3.run
rm -rf "$out"
mkdir -p "$out"
jobs=${JOBS:-read seq idle nbd s3backer}
echo "bench-s3: $jobs; some four minutes. The store: PUT 60 ms, GET 30 ms, 90 MB/s a connection, any number of connections"
for job in $jobs; do
	case $job in
	nbd | s3backer) run=(/usr/bin/python3 tests/bench/s3_servers.py "$job" build/bench) ;;
	*) run=("build/tests/bench/s3_$job") ;;
	esac
	if ! "${run[@]}" > "$out/$job"; then
		echo "bench-s3: $job failed" >&2
		exit 1
	fi
	sed -n "s/^say\t/  $job: /p" "$out/$job"
done
/usr/bin/python3 tests/bench/engine.py "$out" build/bench/s3.json
