// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_shared.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define SKEW_SAME 1000000 /* microseconds: Date has whole seconds */

void s3_shared_init(struct s3_shared *s, const struct s3_opts *o, struct core *core,
		    struct clock *clock, struct creds_chain *creds)
{
	memset(s, 0, sizeof(*s));
	s->o = *o;
	s->core = core;
	s->clock = clock;
	s->creds = creds;
	if (o->prefix[0])
		snprintf(s->root, sizeof(s->root), "%s/", o->prefix);
	strcpy(s->region, o->region);
	s3_cap_init(&s->up, o->up_bps, clock_mono_us(clock));
	s3_cap_init(&s->down, o->down_bps, clock_mono_us(clock));
	pthread_mutex_init(&s->lock, NULL);
}

void s3_shared_destroy(struct s3_shared *s)
{
	pthread_mutex_destroy(&s->lock);
	s3_cap_destroy(&s->down);
	s3_cap_destroy(&s->up);
}

bool s3_shared_capped(const struct s3_shared *s)
{
	return s->up.bps || s->down.bps;
}

void s3_shared_region(struct s3_shared *s, char ret[33])
{
	pthread_mutex_lock(&s->lock);
	strcpy(ret, s->region);
	pthread_mutex_unlock(&s->lock);
}

bool s3_shared_set_region(struct s3_shared *s, const char *used, const char *region, bool moved)
{
	if (!region[0] || !strcmp(used, region) || (moved && s->o.endpoint[0]))
		return false;
	pthread_mutex_lock(&s->lock);
	strcpy(s->region, region);
	pthread_mutex_unlock(&s->lock);
	return true;
}

uint64_t s3_shared_real_us(struct s3_shared *s, int64_t *skew_us)
{
	pthread_mutex_lock(&s->lock);
	*skew_us = s->skew_us;
	pthread_mutex_unlock(&s->lock);
	return clock_real_us(s->clock) + (uint64_t)*skew_us;
}

bool s3_shared_set_date(struct s3_shared *s, int64_t used_us, int64_t date)
{
	int64_t skew = date * 1000000 - (int64_t)clock_real_us(s->clock), d = skew - used_us;

	if (!date)
		return false;
	pthread_mutex_lock(&s->lock);
	s->skew_us = skew;
	pthread_mutex_unlock(&s->lock);
	return d > SKEW_SAME || d < -SKEW_SAME;
}

void s3_shared_answered(struct s3_shared *s, enum store_op op, int64_t date, bool sum)
{
	/* Whole seconds: their middle. What of a GET came before its last byte may be long ago. */
	int64_t skew = date * 1000000 + 500000 - (int64_t)clock_real_us(s->clock);

	pthread_mutex_lock(&s->lock);
	if (date && op != STORE_GET) {
		s->facts.has_clock = true;
		s->facts.skew_us = skew;
	}
	if (op == STORE_PUT) {
		s->facts.has_sums = true;
		s->facts.sums = sum;
	}
	pthread_mutex_unlock(&s->lock);
}

void s3_shared_facts(struct s3_shared *s, struct store_facts *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->facts;
	pthread_mutex_unlock(&s->lock);
}

void s3_shared_say(struct s3_shared *s, enum store_op op, const char *fmt, ...)
{
	struct s3_shared_why why = { .at_us = clock_mono_us(s->clock) };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.text, sizeof(why.text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&s->lock);
	s->why[op] = why;
	pthread_mutex_unlock(&s->lock);
}

void s3_shared_worked(struct s3_shared *s, enum store_op op, uint64_t begun_us)
{
	pthread_mutex_lock(&s->lock);
	if (s->why[op].text[0] && begun_us > s->why[op].at_us)
		s->why[op].text[0] = '\0';
	pthread_mutex_unlock(&s->lock);
}

void s3_shared_why(struct s3_shared *s, char *out, size_t len)
{
	const struct s3_shared_why *newest = &s->why[0];

	pthread_mutex_lock(&s->lock);
	for (unsigned int op = 1; op < STORE_NR_OPS; op++)
		if (s->why[op].text[0] && (!newest->text[0] || s->why[op].at_us > newest->at_us))
			newest = &s->why[op];
	snprintf(out, len, "%s", newest->text);
	pthread_mutex_unlock(&s->lock);
}
