/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core lock: one mutex that guards the volume and all that calls into it, and a way to do
 * things right after it is let go (system calls that must not be made under it).
 *
 * Lock order: the core lock is taken before every other lock of the daemon and after none.
 */
#ifndef BASE_CORE_H
#define BASE_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct core_kick - something to do without the core lock, soon
 * @run:	called by whoever lets go of the lock next, after letting go; any thread, and
 *		several threads may be in it at once
 * Must live as long as any thread uses the lock.
 */
struct core_kick {
	struct core_kick *next;		/* the lock's while queued */
	bool queued;
	void (*run)(struct core_kick *k);
};

struct core {
	pthread_mutex_t mutex;
	pthread_cond_t changed;		/* CLOCK_MONOTONIC; broadcast at an unlock if awaited */
	unsigned int waiters;		/* guarded by mutex, as all below */
	bool fresh;			/* the section has not waited since core_lock() */
	struct core_kick *kicks;
	struct core_kick **kicks_tail;
	void (*leave)(void *ctx);	/* optional: before each unlock, lock held */
	void *ctx;
	const void *owner;		/* the holding thread; for core_held() only */
};

/* 0 or -errno. @leave may be NULL; it must not take or let go of the lock. */
int core_init(struct core *c, void (*leave)(void *ctx), void *ctx);
void core_destroy(struct core *c);

void core_lock(struct core *c);

/* Wakes those in core_wait(), lets go, then runs the queued kicks. */
void core_unlock(struct core *c);

/*
 * The same by a thread that has nothing else to do until what it asked for under the lock has
 * happened: one of the kicks may do that itself, and block for it, where it would else wake another
 * thread.
 */
void core_unlock_lend(struct core *c);

/* In a kick: whether the calling thread may be kept. True once for what core_unlock_lend() lent. */
bool core_borrow(void);

/* Queues @k unless it is queued. Lock held. */
void core_kick(struct core *c, struct core_kick *k);

/*
 * Lets go of the lock (with all that core_unlock() does), sleeps until another thread has held it
 * or CLOCK_MONOTONIC has reached @until_us (~0 = for ever), and takes it again. May return early.
 * What a thread does between two waits of one section wakes others only when the section ends. Lock
 * held.
 */
void core_wait(struct core *c, uint64_t until_us);

/*
 * The same on a condition of the caller's (CLOCK_MONOTONIC), which only its own signals end. Lock
 * held.
 */
void core_wait_on(struct core *c, pthread_cond_t *cond, uint64_t until_us);

/* A condition for core_wait_on(). 0 or -errno. */
int core_cond_init(pthread_cond_t *cond);

/* True if the calling thread holds the lock; for asserts. */
bool core_held(const struct core *c);

#endif
