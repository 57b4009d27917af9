/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core lock: the one mutex under which the engine's core runs, and the way to sleep until something
 * in it has changed. Worker threads (workq, the file store) deliver completions under it.
 */
#ifndef BASE_CORELOCK_H
#define BASE_CORELOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct corelock
 * @mutex:	guards the core and everything that is documented "core lock held"
 * @changed:	broadcast after each completion was delivered; CLOCK_MONOTONIC
 * @stop:	makes corelock_wait() give up; set with corelock_stop()
 * @wake:	optional: called, lock held, after a completion was delivered, for an owner that sleeps
 *		somewhere else than on @changed (say, writes an eventfd). Set before threads start
 */
struct corelock {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool stop;
	void (*wake)(void *ctx);
	void *ctx;
};

int corelock_init(struct corelock *cl);		/* 0 or -errno */
void corelock_destroy(struct corelock *cl);

void corelock_lock(struct corelock *cl);
void corelock_unlock(struct corelock *cl);

/* Tells everybody that sleeps that something changed. Lock held. */
void corelock_changed(struct corelock *cl);

/* Lock held: every corelock_wait(), now and later, returns -EINTR unless it is done. */
void corelock_stop(struct corelock *cl);

/*
 * Sleeps, without the lock, until *@done. Lock held before and after. 0 or -EINTR. What volume_env.wait wants,
 * with a corelock as context.
 */
int corelock_wait(struct corelock *cl, const bool *done);

/* The same up to a time (clock_mono_us()), and returns at any change: the caller looks what it was. */
void corelock_sleep(struct corelock *cl, uint64_t until_us);

#endif
