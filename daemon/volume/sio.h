/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Store I/O of the core: one request with its memory, repeated with growing pauses while the store
 * fails, and the account of outages that goes with it. -EEXIST, -ENOENT and what a request reads
 * are answers, all else is a failure.
 *
 * A request may be dropped at any time by whoever started it; it then frees itself when the store
 * has answered, and touches nothing else.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_SIO_H
#define VOLUME_SIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "store/store.h"

struct volume_env;

#define SIO_FOR_EVER  0u
/* for ever, but for errors that time does not mend: sio_is_final() */
#define SIO_PATIENT   (~0u)
#define SIO_PAUSE_MIN 250000u /* microseconds, doubled ... */
#define SIO_PAUSE_MAX 4000000u /* ... up to this */

struct sio_ctx {
	const struct volume_env *env;
	struct list_head delayed; /* waiting for their next try */
	int outage[STORE_NR_OPS]; /* -errno of the outage under way */
	uint64_t outage_us[STORE_NR_OPS]; /* when it began, monotonic */
	uint64_t errors, retries;
	bool quiet; /* no notices */
	bool recovering; /* nothing is served yet: one notice an outage */
};

/*
 *            sio_start()         store answers              last answer
 *  SIO_NEW -------------> SIO_BUSY ----------> SIO_DELAYED ... ---------> SIO_DONE
 */
enum sio_state {
	SIO_NEW,
	SIO_BUSY,
	SIO_DELAYED,
	SIO_DONE,
};

/**
 * struct sio - a store request
 * @req:	op and name are set by sio_new(); the caller fills the rest
 * @body:	malloc'ed memory that goes with it (freed by sio_free()): a PUT's bytes, a GET's
 *       	room
 * @res:	DONE: as store_req.res
 * @done:	called once, at the end; NULL: somebody waits. Not called once dropped
 */
struct sio {
	struct store_req req;
	struct sio_ctx *ctx;
	struct list_head link;
	enum sio_state state;
	bool dropped;
	bool finished;
	uint32_t tries, max_tries;
	/* when the try under way, or the last one, was sent; not if tries are counted */
	uint64_t sent_us;
	uint64_t retry_at;
	void *body;
	struct iovec iov;
	ssize_t res;
	void (*done)(struct sio *s);
	void *priv;
};

void sio_ctx_init(struct sio_ctx *c, const struct volume_env *env);

/* All return NULL without memory (and then free @body). Nothing is sent before sio_start(). */
struct sio *sio_new(struct sio_ctx *c, enum store_op op, const char *name);
struct sio *sio_put(struct sio_ctx *c, const char *name, void *body, size_t len);
struct sio *sio_get(struct sio_ctx *c, const char *name, uint64_t off, size_t len);
/* The bytes go to @body, malloc'ed, @len bytes at least. */
struct sio *sio_get_into(struct sio_ctx *c, const char *name, uint64_t off, size_t len, void *body);
struct sio *sio_list(struct sio_ctx *c, const char *prefix, const char *after, uint32_t max);

/* @max_tries: SIO_FOR_EVER, SIO_PATIENT, or how often to try in all. */
void sio_start(struct sio *s, uint32_t max_tries);

/*
 * For requests without done(): waits for the end. 0 (then look at res) or -EINTR (drop it). [waits]
 */
int sio_wait(struct sio *s);

/*
 * A PUT that creates, tried once; frees @body. 0, also when the object is there with just these
 * bytes: an answer of the store's was lost, and its client's next try met its own object. -EEXIST:
 * there are others; -errno. [waits]
 */
int sio_create(struct sio_ctx *c, const char *name, void *body, size_t len);

/* Ends the caller's interest in @s in whatever state; NULL does nothing. */
void sio_drop(struct sio *s);

/*
 * Whether a store's error is one that waiting does not mend: no permission, a read-only store, a
 * request that makes no sense. A store that is away, slow or full is waited for.
 */
bool sio_is_final(int err);

/*
 * What is wrong with the store, in the words of @err and those of the store, if it has any. Returns
 * @out.
 */
#define SIO_REASON_LEN 480
const char *sio_reason(const struct volume_env *env, int err, char *out, size_t len);

/* DONE: the request's memory is the caller's from here on. */
void *sio_take_body(struct sio *s);

/* The result of a LIST. */
const struct store_entry *sio_entries(const struct sio *s);

/* Sends again what is due; when the next is (~0 = never). */
void sio_tick(struct sio_ctx *c);
uint64_t sio_deadline(const struct sio_ctx *c);

/* Frees what waits for its next try. Nothing is with the store any more. */
void sio_ctx_free(struct sio_ctx *c);

#endif
