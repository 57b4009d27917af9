# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the benchmarks' S3 server: what it keeps, how long it takes, what it counts.
. tests/s3/lib.sh

(cd tests/s3 && $python s3d_check.py "$ZT_TOP/build/tests/bench/s3d")
