/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One I/O thread of an S3 store: a multi handle with its connections, the requests under way, those
 * that wait for another try.
 */
#ifndef S3_S3_IO_H
#define S3_S3_IO_H

#include <stdint.h>

struct s3_io;
struct s3_shared;
struct store_req;
struct wire;

/* Starts the thread. -ENOMEM, -errno. */
int s3_io_new(struct s3_io **ret, struct s3_shared *shared);

/* Hands over a request. Core lock held. */
void s3_io_submit(struct s3_io *io, struct store_req *r);

/* Requests that have not been answered. Core lock held. */
uint32_t s3_io_load(const struct s3_io *io);

/* Adds what this thread has sent to @to. Any thread. */
void s3_io_wire(const struct s3_io *io, struct wire *to);

/* New credentials are there. Any thread. */
void s3_io_renewed(struct s3_io *io);

/* Ends the thread; nothing is under way. NULL does nothing. */
void s3_io_free(struct s3_io *io);

#endif
