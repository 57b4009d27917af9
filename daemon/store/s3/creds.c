// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: the thread looks up, sleeps until some minutes before the keys expire, looks up
 * again. Failure modes: a look-up that fails, or brings what the store has refused, is repeated
 * with pauses that grow; what works until then is used on. Time is the clock's (tests set it), the
 * sleep is real: whoever asks for keys wakes the thread if there is something to do.
 */
#include "store/s3/creds.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/s3/creds_ask.h"
#include "store/s3/creds_chain.h"
#include "store/s3/creds_http.h"

#define S	     1000000ull
#define EARLY_US     (300 * S) /* before they expire; at half of a short life */
#define JITTER_US    (60 * S)
#define PAUSE_MIN_US S
#define PAUSE_MAX_US (60 * S) /* ... while the old keys work */
#define PAUSE_BAD_US (8 * S) /* ... while they do not */
#define NEED_US	     (30 * S) /* so long somebody who could not go on counts */
#define LOOK_S	     20 /* the longest sleep: the machine's may have been longer */
#define CLOSE_S	     2 /* for the thread to end */
#define NEVER	     UINT64_MAX

/* Freed by creds_close(), or by the thread where that has left it behind. */
struct creds_chain {
	/* constant */
	struct creds_opts o;
	struct creds_env env;
	struct clock *clock;
	int stop_fd;

	/* the thread's own */
	struct creds_ask ask;
	enum creds_source source;

	pthread_mutex_t lock; /* guards what follows; none is taken with it held */
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	pthread_t thread;
	bool stop, ended, left;
	bool calling; /* @fn */
	void (*fn)(void *);
	void *priv;
	struct creds *c; /* locked memory; gen 0: none */
	uint64_t renew_us; /* real time: newer ones are due */
	uint64_t refused; /* the generation that the store has refused, 0 = none */
	uint64_t doubted; /* the generation that may be wrong, 0 = none ... */
	uint64_t doubted_us; /* ... since, monotonic */
	uint64_t needed_us; /* monotonic: when somebody last could not go on, 0 = never */
	uint64_t next_us; /* monotonic: no look-up before */
	unsigned int failures; /* look-ups in a row that brought nothing */
	bool looked;
	int rc; /* of the last look-up */
	char why[CREDS_WHY];
};

static char *copy(const char *s)
{
	return s && *s ? strdup(s) : NULL;
}

static int copy_opts(struct creds_opts *to, const struct creds_opts *from)
{
	const char *const src[] = { from->file, from->profile, from->region };
	const char **const dst[] = { &to->file, &to->profile, &to->region };

	for (size_t i = 0; i < sizeof(src) / sizeof(src[0]); i++) {
		*dst[i] = copy(src[i]);
		if (src[i] && *src[i] && !*dst[i])
			return -ENOMEM;
	}
	return 0;
}

static void destroy(struct creds_chain *c)
{
	free((void *)(uintptr_t)c->o.file);
	free((void *)(uintptr_t)c->o.profile);
	free((void *)(uintptr_t)c->o.region);
	creds_env_drop(&c->env);
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	sodium_free(c->ask.ret);
	sodium_free(c->ask.answer);
	sodium_free(c->c);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- when to look ------------------------------------------------------------------------ */

static bool usable(const struct creds_chain *c)
{
	return c->c->gen && clock_real_us(c->clock) < c->c->expires_us;
}

/* Whether there is a reason to look up. Lock held, as below. */
static bool wanted(const struct creds_chain *c)
{
	uint64_t now = clock_mono_us(c->clock);
	bool needed = c->needed_us && now - c->needed_us < NEED_US;
	bool doubted = c->doubted && c->doubted == c->c->gen && now - c->doubted_us < NEED_US;

	if (doubted || !c->looked || (c->c->gen && clock_real_us(c->clock) >= c->renew_us))
		return true;
	return needed && (!usable(c) || c->refused == c->c->gen);
}

static bool due(const struct creds_chain *c)
{
	return wanted(c) && clock_mono_us(c->clock) >= c->next_us;
}

static uint64_t pause_us(const struct creds_chain *c, bool works)
{
	uint64_t us = PAUSE_MIN_US, max = works ? PAUSE_MAX_US : PAUSE_BAD_US;

	for (unsigned int i = 1; i < c->failures && us < max; i++)
		us *= 2;
	us = us < max ? us : max;
	return us / 2 + randombytes_uniform((uint32_t)us / 2 + 1);
}

static uint64_t renewal_at(const struct creds_chain *c, uint64_t expires_us)
{
	uint64_t now = clock_real_us(c->clock), early = EARLY_US + randombytes_uniform(JITTER_US);

	if (expires_us == NEVER || expires_us < now)
		return expires_us;
	if (early > (expires_us - now) / 2)
		early = (expires_us - now) / 2;
	return expires_us - early;
}

static void take_new(struct creds_chain *c, const struct creds *new)
{
	uint64_t gen = c->c->gen + 1;

	*c->c = *new;
	c->c->gen = gen;
	c->c->stale = false;
	c->renew_us = renewal_at(c, new->expires_us);
	c->failures = 0;
	c->next_us = 0;
	c->needed_us = 0;
	c->why[0] = '\0';
}

static bool same(const struct creds *a, const struct creds *b)
{
	return !strcmp(a->access, b->access) && !strcmp(a->secret, b->secret) &&
	       !strcmp(a->token, b->token);
}

/* What a look-up has brought. True: somebody is to be told. Lock held. */
static bool conclude(struct creds_chain *c, int rc)
{
	struct creds *new = c->ask.ret;
	bool needed = c->needed_us, refused = c->refused && c->refused == c->c->gen;

	c->looked = true;
	c->rc = rc;
	if (!rc && !(c->c->gen && same(new, c->c))) {
		take_new(c, new);
		return true;
	}
	/* the same keys may have been given a longer life */
	if (!rc && new->expires_us > c->c->expires_us) {
		c->c->expires_us = new->expires_us;
		c->renew_us = renewal_at(c, new->expires_us);
	}
	c->failures++;
	c->next_us = clock_mono_us(c->clock) + pause_us(c, usable(c) && !refused);
	if (rc)
		memcpy(c->why, c->ask.why, sizeof(c->why));
	else
		c->why[0] = '\0';
	if (!rc && refused)
		c->c->stale = true;
	return needed;
}

/* ---- the thread -------------------------------------------------------------------------- */

/* Lock held, and let go meanwhile. */
static void look_up(struct creds_chain *c)
{
	bool tell;
	int rc;

	pthread_mutex_unlock(&c->lock);
	rc = creds_chain_find(&c->ask, &c->source);
	pthread_mutex_lock(&c->lock);
	tell = conclude(c, rc) && c->fn && !c->stop;
	creds_ask_reset(&c->ask);
	sodium_memzero(c->ask.answer, sizeof(*c->ask.answer));
	if (tell) {
		c->calling = true;
		pthread_mutex_unlock(&c->lock);
		c->fn(c->priv);
		pthread_mutex_lock(&c->lock);
		c->calling = false;
	}
	pthread_cond_broadcast(&c->changed);
}

static void until(struct timespec *ts, unsigned int seconds)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += seconds;
}

static void *creds_thread(void *arg)
{
	struct creds_chain *c = arg;
	struct timespec ts;
	bool left;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (due(c)) {
			look_up(c);
			continue;
		}
		/* a pause that others wait for is shorter than the longest sleep */
		until(&ts, wanted(c) ? 1 : LOOK_S);
		pthread_cond_timedwait(&c->changed, &c->lock, &ts);
	}
	c->ended = true;
	left = c->left;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (left)
		destroy(c);
	return NULL;
}

static int start(struct creds_chain *c)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&c->thread, NULL, creds_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!rc)
		pthread_setname_np(c->thread, "creds");
	return rc;
}

/* ---- what others call -------------------------------------------------------------------- */

static int make(struct creds_chain **ret, const struct creds_opts *o, struct clock *clock)
{
	struct creds_chain *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int rc = sodium_init() < 0 ? -EIO : 0;

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->clock = clock;
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->c = sodium_malloc(sizeof(*c->c));
	c->ask = (struct creds_ask){
		.o = &c->o,
		.env = &c->env,
		.clock = clock,
		.stop_fd = c->stop_fd,
		.answer = sodium_malloc(sizeof(*c->ask.answer)),
		.ret = sodium_malloc(sizeof(*c->ask.ret)),
	};
	if (!rc && c->stop_fd < 0)
		rc = -errno;
	if (!rc && (!c->c || !c->ask.ret || !c->ask.answer))
		rc = -ENOMEM;
	if (!rc)
		rc = copy_opts(&c->o, o);
	if (!rc)
		rc = creds_env_read(&c->env);
	if (rc) {
		destroy(c);
		return rc;
	}
	memset(c->c, 0, sizeof(*c->c));
	memset(c->ask.answer, 0, sizeof(*c->ask.answer));
	creds_ask_reset(&c->ask);
	*ret = c;
	return 0;
}

int creds_open(struct creds_chain **ret, const struct creds_opts *o, struct clock *clock, char *err,
	       size_t err_len)
{
	struct creds_chain *c = NULL;
	struct timespec ts;
	int rc = make(&c, o, clock), left = 0;

	if (rc) {
		snprintf(err, err_len, "S3 credentials: %s", strerror(-rc));
		return rc;
	}
	rc = start(c);
	if (rc) {
		destroy(c);
		snprintf(err, err_len, "cannot start a thread for S3 credentials: %s",
			 strerror(-rc));
		return rc;
	}
	until(&ts, CREDS_START_S);
	pthread_mutex_lock(&c->lock);
	while (!c->looked && !left)
		left = pthread_cond_timedwait(&c->changed, &c->lock, &ts);
	if (!c->looked)
		snprintf(c->why, sizeof(c->why),
			 "S3 credentials: who has them has not answered within %u s",
			 CREDS_START_S);
	else if (c->rc != -EAGAIN)
		rc = c->rc; /* wrong, and not just away */
	snprintf(err, err_len, "%s", c->why);
	pthread_mutex_unlock(&c->lock);
	if (rc)
		creds_close(c);
	else
		*ret = c;
	return rc;
}

int creds_get(struct creds_chain *c, struct creds *ret)
{
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (usable(c)) {
		*ret = *c->c;
	} else {
		c->needed_us = clock_mono_us(c->clock) | 1;
		rc = -EAGAIN;
	}
	if (due(c))
		pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void creds_reject(struct creds_chain *c, uint64_t gen)
{
	pthread_mutex_lock(&c->lock);
	if (gen == c->c->gen) {
		c->refused = gen;
		c->c->stale |= c->c->constant;
		if (!c->c->constant)
			c->needed_us = clock_mono_us(c->clock) | 1;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

void creds_doubt(struct creds_chain *c, uint64_t gen)
{
	pthread_mutex_lock(&c->lock);
	if (gen == c->c->gen && !c->c->constant) {
		c->doubted = gen;
		c->doubted_us = clock_mono_us(c->clock);
		if (due(c))
			pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

void creds_notify(struct creds_chain *c, void (*fn)(void *), void *priv)
{
	pthread_mutex_lock(&c->lock);
	c->fn = fn;
	c->priv = priv;
	pthread_mutex_unlock(&c->lock);
}

void creds_why(struct creds_chain *c, char *out, size_t len)
{
	pthread_mutex_lock(&c->lock);
	snprintf(out, len, "%s", c->why);
	pthread_mutex_unlock(&c->lock);
}

void creds_close(struct creds_chain *c)
{
	const uint64_t one = 1;
	struct timespec ts;
	bool ended;
	int rc = 0;

	if (!c)
		return;
	until(&ts, CLOSE_S);
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	rc = write(c->stop_fd, &one, sizeof(one)) < 0 ? -errno : 0;
	assert(!rc);
	pthread_cond_broadcast(&c->changed);
	while (c->calling)
		pthread_cond_wait(&c->changed, &c->lock);
	for (rc = 0; !c->ended && !rc;)
		rc = pthread_cond_timedwait(&c->changed, &c->lock, &ts);
	ended = c->ended;
	c->left = !ended;
	if (c->left) {
		/* nothing of use is left with it */
		sodium_memzero(c->c, sizeof(*c->c));
		pthread_detach(c->thread);
	}
	pthread_mutex_unlock(&c->lock);
	if (ended) {
		pthread_join(c->thread, NULL);
		destroy(c);
	}
}
