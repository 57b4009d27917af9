/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store in a bucket of any S3-compatible service: one object per name, create-only by
 * If-None-Match. HTTP/1.1 by libcurl, in a few I/O threads, each with its own connections.
 */
#ifndef S3_S3_H
#define S3_S3_H

#include <stddef.h>

struct clock;
struct core;
struct s3_opts;
struct store;

/*
 * Opens the store that @o says (s3_opts_parse(), then s3_opts_complete()). Nothing is asked of the
 * service yet, so that it may be away. done() runs under @core. -ENOMEM, -errno; @err says in one
 * sentence what is wrong.
 */
int s3_open(struct store **ret, const struct s3_opts *o, struct core *core, struct clock *clock,
	    char *err, size_t err_len);

#endif
