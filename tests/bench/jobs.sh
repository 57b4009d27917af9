# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# The fio jobs of the driver benchmark, the same for every target: NAME QUEUES and what fio is told. With two queues there are
# two fio jobs, each pinned to a CPU as the queue's daemon thread is.
bench_seconds=${BENCH_SECONDS:-3}
bench_rounds=${BENCH_ROUNDS:-2}
bench_common="--ioengine=libaio --direct=1 --time_based --runtime=$bench_seconds --ramp_time=0.5 --size=2G --randrepeat=1
	--group_reporting --norandommap --percentile_list=50:99"
bench_jobs=(
	"randread_4k_qd1 1 --rw=randread --bs=4k --iodepth=1"
	"randwrite_4k_qd1 1 --rw=randwrite --bs=4k --iodepth=1"
	"randread_4k_qd32 1 --rw=randread --bs=4k --iodepth=32"
	"randwrite_4k_qd32 1 --rw=randwrite --bs=4k --iodepth=32"
	"read_128k_qd32 1 --rw=read --bs=128k --iodepth=32"
	"write_128k_qd32 1 --rw=write --bs=128k --iodepth=32"
	"randread_4k_qd32 2 --rw=randread --bs=4k --iodepth=32"
	"randwrite_4k_qd32 2 --rw=randwrite --bs=4k --iodepth=32"
	"read_128k_qd32 2 --rw=read --bs=128k --iodepth=32"
	"write_128k_qd32 2 --rw=write --bs=128k --iodepth=32"
)
