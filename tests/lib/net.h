/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store before a store in memory that does what a network does: answers in any order, loses
 * requests, loses answers, holds things back, dies. Single-threaded; randomness from testrand.
 */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct net {
	struct store store;
	struct store *mem;
	struct list_head queue, held;
	unsigned int queued, nr_held;
	unsigned int refuse_pm;		/* per mille of requests that fail unseen */
	unsigned int lose_pm;		/* per mille that are done, and fail all the same */
	char hold[64];			/* PUTs of names that begin so are held ("" = none) ... */
	unsigned int hold_skip;		/* ... but for so many first ones */
	bool die_drops;			/* net_die(): nothing reaches the store */
	int refuse_puts;		/* every PUT fails so (0 = not) */
	int refuse_gets;
	/* the store takes a create of a name that is there: and keeps the old bytes, or the new */
	bool says_yes, overwrites;
	unsigned int puts, gets, lists, deletes;	/* that reached the store */
	void (*mutated)(void *ctx);	/* after each PUT or DELETE that changed the store */
	void *ctx;
};

void net_init(struct net *n, struct store *mem);

/* Carries out one request, any of those that wait. False: none waits (but some may be held). */
bool net_run(struct net *n);

/* Held requests wait again. */
void net_release(struct net *n);

/*
 * The client dies: of what is under way, each request reaches the store or not, by chance; all are
 * answered with -EIO. Returns how many were answered.
 */
unsigned int net_die(struct net *n);

#endif
