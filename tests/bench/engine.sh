#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make bench-engine`: the engine natively, with clients in its own process, over a store that takes a fixed time. Each
# tests/bench/engine_*.c is a program that prints its figures. Prints a table, writes build/bench/engine.json.
# JOBS: which of them ("flush attach"), all unless said. BENCH_DISK: folder for journals and for the files that they are
# compared with, on a disk; build/bench unless said.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/bench/engine.run
rm -rf "$out" build/bench/journal.[0-9]* build/bench/plain.[0-9]* # of a run that was broken off, too
mkdir -p "$out"
jobs=${JOBS:-flush fsync ingest random randwrite outage attach}
echo "bench-engine: $jobs; some eight minutes. The store: PUT 60 ms, GET 30 ms, 90 MB/s a connection, any number of connections"
for job in $jobs; do
	if ! "build/tests/bench/engine_$job" > "$out/$job"; then
		echo "bench-engine: engine_$job failed" >&2
		exit 1
	fi
	sed -n "s/^say\t/  $job: /p" "$out/$job"
done
/usr/bin/python3 tests/bench/engine.py "$out" build/bench/engine.json
