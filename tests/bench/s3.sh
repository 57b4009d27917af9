#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make bench-s3`: what reads cost over a store with the delays of S3. Each tests/bench/s3_*.c that JOBS names is a program
# that prints its figures. Prints a table, writes build/bench/s3.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/bench/s3.run
rm -rf "$out"
mkdir -p "$out"
for job in ${JOBS:-read}; do
	if ! "build/tests/bench/s3_$job" > "$out/$job"; then
		echo "bench-s3: s3_$job failed" >&2
		exit 1
	fi
	sed -n "s/^say\t/  $job: /p" "$out/$job"
done
/usr/bin/python3 tests/bench/engine.py "$out" build/bench/s3.json
