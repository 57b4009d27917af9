# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: five minutes without the store, by a clock that engine and S3 store go by and that runs a hundred times as fast
# meanwhile (tests/unit/test_s3_outage.c, over a server of its own).
. tests/s3/lib.sh

build/gcc/tests/unit/test_s3_outage
