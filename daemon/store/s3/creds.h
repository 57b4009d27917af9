/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access keys: where they come from stands in creds_chain.h. A thread of its own looks them up, so
 * that a hung file server, a slow program or a service that does not answer keeps nobody who uses
 * them: at the start, in good time before they expire, and when the store refuses them. Old keys
 * are used for as long as they work.
 */
#ifndef S3_CREDS_H
#define S3_CREDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock;
struct creds_chain;

#define CREDS_WHY 400u /* a sentence */

struct creds {
	char access[129];
	char secret[129];
	char token[4097];
	uint64_t expires_us; /* real time, ~0 = never, or not known */
	uint64_t gen; /* another one with each change */
	/* the store has refused them, and a look-up since then has brought no others ... */
	bool stale;
	bool constant; /* ... nor will any: what gives them does not change */
};

/* NULL or "": not said. */
struct creds_opts {
	const char *file;
	const char *profile;
	const char *region; /* of requests for keys */
};

/*
 * Starts the thread and waits for its first look-up, for CREDS_START_S at most. 0: keys are there,
 * or who has them cannot be asked just now: creds_get() says so until they come. -errno and one
 * sentence in @err that never holds a secret: there are none, or not whole. The strings of @o are
 * copied; the environment is read here and not again.
 */
int creds_open(struct creds_chain **ret, const struct creds_opts *o, struct clock *clock, char *err,
	       size_t err_len);

#define CREDS_START_S 20u

/*
 * The newest; the caller wipes it. 0, or -EAGAIN: they have expired or have not come yet, and are
 * being looked for. Never waits. Any thread.
 */
int creds_get(struct creds_chain *c, struct creds *ret);

/* The store said that those of generation @gen have expired or are unknown. Any thread. */
void creds_reject(struct creds_chain *c, uint64_t gen);

/*
 * The store has refused a request that was signed with them and did not say that it is their fault;
 * some say no more of keys that were replaced. Others are looked for, at most once a minute in the
 * end, while these are used on. Any thread.
 */
void creds_doubt(struct creds_chain *c, uint64_t gen);

/*
 * @fn is called, by the thread that looks up and without a lock, when a new generation is there,
 * and when a look-up that somebody waits for has come to nothing. Not after creds_close().
 */
void creds_notify(struct creds_chain *c, void (*fn)(void *), void *priv);

/* Why there are no newer ones, in a sentence without a secret; "" = nothing failed. Any thread. */
void creds_why(struct creds_chain *c, char *out, size_t len);

/*
 * Wipes and frees. A thread that a file server keeps is left behind, and ends when it is let go.
 * NULL does nothing.
 */
void creds_close(struct creds_chain *c);

#endif
