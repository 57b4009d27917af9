/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cap on bytes per second that all connections of one direction share. Who finds credit may take
 * a piece of any size, and what it takes too much is paid back by all. Any thread.
 */
#ifndef S3_S3_CAP_H
#define S3_S3_CAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_cap {
	pthread_mutex_t lock;
	uint64_t bps; /* 0 = none; constant */
	int64_t credit; /* bytes */
	uint64_t at_us; /* when it was so much */
};

void s3_cap_init(struct s3_cap *c, uint64_t bps, uint64_t now_us);
void s3_cap_destroy(struct s3_cap *c);

/*
 * How much of an upload should go at a time, so that all move on: a quarter of a second's, at most.
 */
size_t s3_cap_piece(const struct s3_cap *c);

/* Whether @n bytes may go now; they are counted then. */
bool s3_cap_take(struct s3_cap *c, uint64_t now_us, size_t n);

/* When s3_cap_take() will say yes, if nobody else takes anything. */
uint64_t s3_cap_ready_us(struct s3_cap *c, uint64_t now_us);

#endif
