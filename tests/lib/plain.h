/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plain: what a disk does without us, for benchmarks: a file that has been written all over (not
 * merely allocated), with O_DIRECT, where the journals of the same run lie. All functions end the
 * program when something fails.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include <stdint.h>

#define PLAIN_PATH 256

struct plain {
	int fd;
	uint64_t size;
	char path[PLAIN_PATH];
};

/*
 * A name in the folder of such files, which is $BENCH_DISK or build/bench: @name and the process's
 * number.
 */
void plain_path(char path[PLAIN_PATH], const char *name);

/* Makes it, @size bytes that are no zeros. */
void plain_make(struct plain *p, uint64_t size);
void plain_unmake(struct plain *p);

/* A write of the 4 KiB at @data to block @block, and fdatasync; returns how long it took, in us. */
uint64_t plain_fsync(struct plain *p, uint64_t block, const void *data);

/*
 * 4 KiB writes to random blocks, @depth under way at any time (io_uring), for @us or a little more;
 * returns writes per second.
 */
double plain_random(struct plain *p, uint32_t depth, uint64_t us, const void *data, uint64_t *seed);

#endif
