/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An S3 store before an S3 server in memory, and one request at a time to it. One thread; asserts.
 */
#ifndef S3WORLD_H
#define S3WORLD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/core.h"
#include "lib/fastclock.h"
#include "lib/s3srv.h"
#include "store/store.h"

struct s3world {
	struct fastclock fast; /* the store's clock */
	struct core core;
	struct s3srv *srv;
	const char *host; /* of the endpoint */
	struct store *s;
};

/* A server, and a store at its "v/". Pauses between tries are none (testrand_lowest()). */
void s3world_begin(struct s3world *w);
void s3world_end(struct s3world *w);

/* Another store, after store_close(): at @prefix ("/..."), with @more parameters ("&..."). */
void s3world_open(struct s3world *w, const char *prefix, const char *more);

/* Waits for the answer; done() must come under the core lock. */
ssize_t s3world_run(struct s3world *w, struct store_req *r);
ssize_t s3world_put(struct s3world *w, const char *name, const char *text);
/* @buf has 16 bytes more, which must stay as they are. */
ssize_t s3world_get(struct s3world *w, const char *name, uint64_t off, char *buf, size_t len);
ssize_t s3world_list(struct s3world *w, struct store_entry *e, uint32_t max);
ssize_t s3world_del(struct s3world *w, const char *name);

/* @name's object is @text. */
void s3world_holds(struct s3world *w, const char *name, const char *text);

/* s3srv_rule() of these alone. */
void s3world_rule(struct s3world *w, unsigned int ops, unsigned int times, enum s3srv_act act,
		  unsigned int status, const char *code);

/* store_why(), until the next call. */
const char *s3world_why(struct s3world *w);

#endif
