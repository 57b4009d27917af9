// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/core.h"

#include <assert.h>
#include <time.h>

#define KICKS_AT_ONCE 32u

static _Thread_local char self;
static _Thread_local bool lent;

int core_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc)
		return -rc;
	rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!rc)
		rc = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -rc;
}

int core_init(struct core *c, void (*leave)(void *ctx), void *ctx)
{
	int rc;

	*c = (struct core){ .leave = leave, .ctx = ctx };
	c->kicks_tail = &c->kicks;
	rc = core_cond_init(&c->changed);
	if (rc)
		return rc;
	rc = pthread_mutex_init(&c->mutex, NULL);
	if (rc)
		pthread_cond_destroy(&c->changed);
	return -rc;
}

void core_destroy(struct core *c)
{
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->changed);
}

static void own(struct core *c, const void *who)
{
	__atomic_store_n(&c->owner, who, __ATOMIC_RELAXED);
}

bool core_held(const struct core *c)
{
	return __atomic_load_n(&c->owner, __ATOMIC_RELAXED) == &self;
}

void core_lock(struct core *c)
{
	assert(!core_held(c));
	pthread_mutex_lock(&c->mutex);
	own(c, &self);
	c->fresh = true;
}

/*
 * Takes up to KICKS_AT_ONCE kicks off the queue. They are copied out: another holder may queue them
 * again at once.
 */
static unsigned int take_kicks(struct core *c, struct core_kick **kicks)
{
	unsigned int n = 0;

	while (c->kicks && n < KICKS_AT_ONCE) {
		struct core_kick *k = c->kicks;

		c->kicks = k->next;
		k->queued = false;
		kicks[n++] = k;
	}
	if (!c->kicks)
		c->kicks_tail = &c->kicks;
	return n;
}

void core_unlock(struct core *c)
{
	struct core_kick *kicks[KICKS_AT_ONCE];
	unsigned int n;
	bool more;

	assert(core_held(c));
	if (c->leave)
		c->leave(c->ctx);
	if (c->waiters)
		pthread_cond_broadcast(&c->changed);
	do {
		n = take_kicks(c, kicks);
		more = c->kicks != NULL;
		own(c, NULL);
		pthread_mutex_unlock(&c->mutex);
		for (unsigned int i = 0; i < n; i++)
			kicks[i]->run(kicks[i]);
		if (more)
			core_lock(c);
	} while (more);
}

void core_unlock_lend(struct core *c)
{
	lent = true;
	core_unlock(c);
	lent = false;
}

bool core_borrow(void)
{
	bool was = lent;

	lent = false;
	return was;
}

void core_kick(struct core *c, struct core_kick *k)
{
	assert(core_held(c));
	if (k->queued)
		return;
	k->queued = true;
	k->next = NULL;
	*c->kicks_tail = k;
	c->kicks_tail = &k->next;
}

void core_wait_on(struct core *c, pthread_cond_t *cond, uint64_t until_us)
{
	assert(core_held(c));
	if (c->kicks) {
		/* What the caller queued must not wait for somebody else's unlock. */
		core_unlock(c);
		core_lock(c);
		return;
	}
	if (c->leave)
		c->leave(c->ctx);
	/*
	 * What the caller did may be what others wait for. Not after it has merely been woken: two
	 * waiters would wake each other for ever.
	 */
	if (c->waiters && c->fresh)
		pthread_cond_broadcast(&c->changed);
	c->fresh = false;
	own(c, NULL);
	if (until_us == UINT64_MAX) {
		pthread_cond_wait(cond, &c->mutex);
	} else {
		struct timespec ts = { (time_t)(until_us / 1000000),
				       (long)(until_us % 1000000) * 1000 };

		pthread_cond_timedwait(cond, &c->mutex, &ts);
	}
	own(c, &self);
	c->fresh = false;
}

void core_wait(struct core *c, uint64_t until_us)
{
	bool kicks = c->kicks != NULL;

	if (!kicks)
		c->waiters++;
	core_wait_on(c, &c->changed, until_us);
	if (!kicks)
		c->waiters--;
}
