/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Store URLs: file:///absolute/folder, s3://bucket/prefix?..., and mem: for tests. */
#ifndef STORE_URL_H
#define STORE_URL_H

#include <stddef.h>

#include "store/s3/s3_opts.h"

struct clock;
struct core;
struct store;

enum url_kind {
	URL_FILE,
	URL_MEM,
	URL_S3,
};

#define URL_PATH_MAX	4096

struct url {
	enum url_kind kind;
	char path[URL_PATH_MAX];	/* FILE: the folder, absolute, no trailing slash */
	struct s3_opts s3;		/* S3: complete, the environment included */
};

/* -EINVAL: @err (of @err_len bytes) says in one sentence what is wrong. */
int url_parse(struct url *ret, const char *s, char *err, size_t err_len);

#define URL_CREATE	(1u << 0)	/* make what is not there */

/*
 * Opens the store; done() runs under @core (mem: @core unused, the caller must mem_run()). -errno,
 * @err as above.
 */
int url_open(struct store **ret, const struct url *u, unsigned int flags, struct core *core,
	     struct clock *clock, char *err, size_t err_len);

#endif
