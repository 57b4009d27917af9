/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unlock: opening a volume's keys, however long its store is away. */
#ifndef SERVER_UNLOCK_H
#define SERVER_UNLOCK_H

#include <pthread.h>
#include <stdint.h>

struct host;
struct keyring;
struct keys_secret;

/**
 * struct unlock - a wait for the keys
 * @event:	signalled when host.stop is set
 * @store_errno:	why it waits (positive), 0 = it does not; and since when, wall clock
 */
struct unlock {
	pthread_cond_t *event;
	int *store_errno;
	uint64_t *since_us;
};

/*
 * keys_open(), again and again while the store is away or full, with the pauses and the notices of
 * an outage. Errors as keys_open(), those that waiting does not mend; -EINTR: host_interrupt().
 * Core lock held, let go while it waits.
 */
int unlock_keys(struct host *h, const struct keys_secret *secret, const struct unlock *u,
		struct keyring **ret);

#endif
