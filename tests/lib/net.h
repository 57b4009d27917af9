/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store before a store in memory that does what a network does: answers in any order, loses
 * requests, loses answers, holds things back, delivers late and twice, dies. Single-threaded;
 * randomness from testrand.
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
	/* PUTs, or what hold_op says, of names that begin so are held ("" = none) ... */
	char hold[64];
	enum store_op hold_op;
	unsigned int hold_skip;		/* ... but for so many first ones */
	bool die_drops;			/* net_die(): nothing reaches the store */
	int refuse_puts;		/* every PUT fails so (0 = not) */
	int refuse_gets;
	int refuse_deletes;
	/* the store takes a create of a name that is there: and keeps the old bytes, or the new */
	bool says_yes, overwrites;
	unsigned int puts, gets, lists, deletes;	/* that reached the store */
	void (*mutated)(void *ctx);	/* after each PUT or DELETE that changed the store */
	void *ctx;

	/* the rarer faults, per mille */
	unsigned int hold_pm;		/* held until net_release() */
	unsigned int late_pm;		/* done; its answer waits for net_answer() */
	unsigned int ghost_pm;		/* PUT, DELETE: fails, and is done at net_ghost() */
	unsigned int twice_pm;		/* PUT, DELETE: done, and done again at net_ghost() */
	struct list_head late, ghosts;
	unsigned int nr_late, nr_ghosts;
	uint32_t tag;			/* the owner's; a ghost keeps the one it was sent with */
	/* before mutated(): of the request that changed the store */
	enum store_op last_op;
	char last_name[STORE_NAME_MAX];
	uint32_t last_tag;
	bool last_ghost;
	bool last_was_there;		/* DELETE: the object was */
	uint8_t last_was[64];		/* its first bytes */
	/* each request's fate, for a trace */
	void (*fate)(void *ctx, const struct store_req *r, const char *what);
};

void net_init(struct net *n, struct store *mem);

/* Carries out one request, any of those that wait. False: none waits (but some may be held). */
bool net_run(struct net *n);

/* The same of a GET or LIST, without a fault; nothing else moves. False: none waits. */
bool net_run_get(struct net *n);

/* Gives one late answer. False: there is none. */
bool net_answer(struct net *n);

/* One request whose sender has long been told otherwise, or is dead, reaches the store. */
bool net_ghost(struct net *n);

/* Drops what net_ghost() has not delivered. */
void net_end(struct net *n);

/* Held requests wait again. */
void net_release(struct net *n);

/* Only GETs and LISTs do. False: there is none. */
bool net_release_gets(struct net *n);

/*
 * The client dies: of what is under way, each request reaches the store or not, by chance; all are
 * answered with -EIO. With ghost_pm some reach it later, by net_ghost(). Returns how many were
 * answered.
 */
unsigned int net_die(struct net *n);

#endif
