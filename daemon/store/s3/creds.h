/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Access keys. For now: from the environment alone. */
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
	uint64_t expires_us; /* real time, ~0 = never */
	uint64_t gen;
};

struct creds_opts {
	const char *file;
};

int creds_open(struct creds_chain **ret, const struct creds_opts *o, struct clock *clock, char *err,
	       size_t err_len);

/* The newest. -EAGAIN: none yet; -errno. */
int creds_get(struct creds_chain *c, struct creds *ret);

/* The store said that those of generation @gen have expired: renew. */
void creds_reject(struct creds_chain *c, uint64_t gen);

/* @fn is called when a new generation is there, from the chain's thread. */
void creds_notify(struct creds_chain *c, void (*fn)(void *), void *priv);

void creds_close(struct creds_chain *c);

#endif
