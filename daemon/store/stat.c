// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/wire.h"

#define SAMPLE_US 60000000ull /* from one sample to the next, at least */
#define HOUR_US	  3600000000ull
#define SAMPLES	  64u /* an hour of them, and some */

/* A request under way. Kept for reuse: the count in flight is bounded by the engine. */
struct call {
	struct list_head link;
	struct stat_store *st;
	struct store_req inner;
	struct store_req *outer;
	uint64_t begun_us;
	uint64_t bytes;
};

/* What had been used when. */
struct sample {
	uint64_t at_us;
	struct stat_usage use;
};

struct stat_store {
	struct store store;
	struct store *inner;
	struct clock *clock;
	struct list_head idle;
	struct stat_counters c;
	uint64_t opened_us;
	struct sample samples[SAMPLES]; /* a ring */
	uint32_t nr_samples; /* ever */
};

static struct stat_store *to_stat(const struct store *s)
{
	return container_of(s, struct stat_store, store);
}

/* ---- use over time ----------------------------------------------------------------------- */

/* Since the beginning, but for the time. */
static void total(struct stat_store *st, struct stat_usage *ret)
{
	struct wire w;

	*ret = (struct stat_usage){ .wire = store_wire(st->inner, &w) };
	for (int i = 0; i < STORE_NR_OPS; i++) {
		const struct stat_op *o = &st->c.op[i];

		ret->requests[i] = ret->wire ? w.op[i].attempts : o->requests;
		if (ret->wire) {
			ret->bytes_up += w.op[i].bytes_up;
			ret->bytes_down += w.op[i].bytes_down;
		}
	}
	if (!ret->wire) {
		ret->bytes_up = st->c.op[STORE_PUT].bytes;
		ret->bytes_down = st->c.op[STORE_GET].bytes;
	}
}

/*
 * Before anything is counted, once a minute while there is something to count: so nobody has to
 * wake up for it, and what lies between two samples came in the minute after the first.
 */
static void look(struct stat_store *st, uint64_t now_us)
{
	struct sample *s = &st->samples[st->nr_samples % SAMPLES];

	if (st->nr_samples &&
	    now_us - st->samples[(st->nr_samples - 1) % SAMPLES].at_us < SAMPLE_US)
		return;
	s->at_us = now_us;
	total(st, &s->use);
	st->nr_samples++;
}

/* What had been used at @from, or somewhat later: *@ret_at. */
static void used_at(const struct stat_store *st, uint64_t from, const struct stat_usage *now,
		    uint64_t now_us, struct stat_usage *ret, uint64_t *ret_at)
{
	uint32_t i = st->nr_samples > SAMPLES ? st->nr_samples - SAMPLES : 0;
	uint64_t since = st->opened_us; /* from then on as in @use */
	const struct stat_usage *use = now;
	uint64_t at = now_us;

	for (; i < st->nr_samples; i++) {
		const struct sample *s = &st->samples[i % SAMPLES];

		if (s->at_us >= from) {
			use = &s->use;
			at = s->at_us;
			break;
		}
		since = s->at_us + SAMPLE_US;
	}
	*ret = *use;
	if (since > at)
		since = at;
	*ret_at = from > since ? from : since;
}

void stat_usage(struct store *s, struct stat_usage *ret_all, struct stat_usage *ret_hour)
{
	struct stat_store *st = to_stat(s);
	uint64_t now_us = clock_mono_us(st->clock), age = now_us - st->opened_us, at;
	struct stat_usage all, then;

	total(st, &all);
	all.us = age;
	*ret_all = all;
	*ret_hour = all;
	if (age <= HOUR_US)
		return;
	used_at(st, now_us - HOUR_US, &all, now_us, &then, &at);
	for (int i = 0; i < STORE_NR_OPS; i++)
		ret_hour->requests[i] -= then.requests[i];
	ret_hour->bytes_up -= then.bytes_up;
	ret_hour->bytes_down -= then.bytes_down;
	ret_hour->us = now_us - at;
}

/* ---- requests ---------------------------------------------------------------------------- */

static void count(struct stat_op *o, const struct call *c, uint64_t us)
{
	const struct store_req *r = &c->inner;

	o->requests++;
	o->inflight--;
	hist_add(&o->us, us);
	if ((r->op == STORE_PUT && r->res == -EEXIST) || (r->op == STORE_GET && r->res == -ENOENT))
		o->answers++;
	else if (r->res < 0)
		o->errors++;
	else if (r->op == STORE_PUT)
		o->bytes += c->bytes;
	else if (r->op == STORE_GET)
		o->bytes += (uint64_t)r->res;
	else if (r->op == STORE_LIST)
		o->entries += (uint64_t)r->res;
}

static void inner_done(struct store_req *inner)
{
	struct call *c = inner->priv;
	struct stat_store *st = c->st;
	struct store_req *r = c->outer;
	uint64_t now_us = clock_mono_us(st->clock);

	look(st, now_us);
	count(&st->c.op[inner->op], c, now_us - c->begun_us);
	r->res = inner->res;
	r->size = inner->size;
	list_add(&c->link, &st->idle);
	r->done(r);
}

static void submit(struct store *s, struct store_req *r)
{
	struct stat_store *st = to_stat(s);
	struct stat_op *o = &st->c.op[r->op];
	struct call *c;

	if (list_empty(&st->idle)) {
		c = calloc(1, sizeof(*c));
		if (!c) {
			store_submit(st->inner, r); /* uncounted rather than not done */
			return;
		}
		c->st = st;
	} else {
		c = list_first_entry(&st->idle, struct call, link);
		list_del(&c->link);
	}
	c->outer = r;
	c->inner = *r;
	c->inner.done = inner_done;
	c->inner.priv = c;
	c->begun_us = clock_mono_us(st->clock);
	look(st, c->begun_us);
	c->bytes = 0;
	if (r->op == STORE_PUT)
		for (int i = 0; i < r->niov; i++)
			c->bytes += r->iov[i].iov_len;
	o->inflight++;
	if (o->inflight > o->inflight_max)
		o->inflight_max = o->inflight;
	store_submit(st->inner, &c->inner);
}

static void close_stat(struct store *s)
{
	struct stat_store *st = to_stat(s);
	struct call *c, *tmp;

	store_close(st->inner);
	list_for_each_entry_safe(c, tmp, &st->idle, link)
		free(c);
	free(st);
}

static void why(struct store *s, char *out, size_t len)
{
	store_why(to_stat(s)->inner, out, len);
}

static bool wire(struct store *s, struct wire *ret)
{
	return store_wire(to_stat(s)->inner, ret);
}

static void facts(struct store *s, struct store_facts *ret)
{
	store_facts(to_stat(s)->inner, ret);
}

int stat_new(struct store **ret, struct store *inner, struct clock *clock)
{
	static const struct store_ops ops = {
		.kind = "stat",
		.submit = submit,
		.close = close_stat,
		.why = why,
		.wire = wire,
		.facts = facts,
	};
	struct stat_store *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->store.ops = &ops;
	st->inner = inner;
	st->clock = clock;
	st->opened_us = clock_mono_us(clock);
	list_init(&st->idle);
	*ret = &st->store;
	return 0;
}

const struct stat_counters *stat_get(const struct store *s)
{
	return &to_stat(s)->c;
}

const char *stat_op_name(enum store_op op)
{
	static const char *const names[STORE_NR_OPS] = {
		[STORE_PUT] = "put",
		[STORE_GET] = "get",
		[STORE_LIST] = "list",
		[STORE_DELETE] = "delete",
	};

	return op < STORE_NR_OPS ? names[op] : "?";
}
