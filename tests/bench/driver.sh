#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make bench-driver`: the ring with nothing behind it against nbd and ublk, in one boot of the main test kernel, and the copies
# of the real engine. Prints a table, writes build/bench/driver.json. BENCH_SECONDS: length of a job (5).
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build/bench
echo "bench-driver: some five minutes in QEMU; absolute figures mean little there, ratios and counters do"
status=0
tests/vm/run.sh -v -t 900 -o build/bench/driver.run -s tests/bench/driver-guest.sh -s tests/bench/engine-guest.sh || status=$?
if [ $status != 0 ]; then
	echo "bench-driver: the guest failed, see build/bench/driver.run" >&2
	exit 1
fi
/usr/bin/python3 tests/bench/driver.py build/bench/driver.run/share/out build/bench/driver.json
