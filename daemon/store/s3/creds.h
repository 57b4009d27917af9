/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access keys, from the first of these that is there:
 *
 *   1. the file that the URL names (credentials=), of the form of ~/.aws/credentials
 *   2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, unless the URL names a profile
 *   3. the profile (the URL's, AWS_PROFILE, "default") in AWS_SHARED_CREDENTIALS_FILE or
 *      ~/.aws/credentials, then in AWS_CONFIG_FILE or ~/.aws/config
 *
 * Files are read again when the store rejects what they gave, so that whoever renews them need not
 * tell us.
 */
#ifndef S3_CREDS_H
#define S3_CREDS_H

#include <stddef.h>
#include <stdint.h>

struct clock;
struct creds_chain;

struct creds {
	char access[129];
	char secret[129];
	char token[4097];
	uint64_t expires_us; /* real time, ~0 = never, or not known */
	uint64_t gen; /* another one with each change */
};

/* NULL or "": not said. Both must outlive the chain. */
struct creds_opts {
	const char *file;
	const char *profile;
};

/* 0, or -errno and one sentence in @err that never holds a secret: there are none, or not whole. */
int creds_open(struct creds_chain **ret, const struct creds_opts *o, struct clock *clock, char *err,
	       size_t err_len);

/* The newest; the caller wipes it. 0. Any thread. */
int creds_get(struct creds_chain *c, struct creds *ret);

/* The store said that those of generation @gen have expired: reads files again. Any thread. */
void creds_reject(struct creds_chain *c, uint64_t gen);

/*
 * @fn is called, by whoever rejects, when a new generation is there. Before other threads know @c.
 */
void creds_notify(struct creds_chain *c, void (*fn)(void *), void *priv);

/* Wipes and frees. NULL does nothing. */
void creds_close(struct creds_chain *c);

#endif
