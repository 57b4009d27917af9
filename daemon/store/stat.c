// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/stat.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

/* A request under way. Kept for reuse: the count in flight is bounded by the engine. */
struct call {
	struct list_head link;
	struct stat_store *st;
	struct store_req inner;
	struct store_req *outer;
	uint64_t begun_us;
	uint64_t bytes;
};

struct stat_store {
	struct store store;
	struct store *inner;
	struct clock *clock;
	struct list_head idle;
	struct stat_counters c;
};

static struct stat_store *to_stat(const struct store *s)
{
	return container_of(s, struct stat_store, store);
}

static unsigned int bucket(uint64_t us)
{
	unsigned int b = us ? 63u - (unsigned int)__builtin_clzll(us) : 0;

	return b < STAT_BUCKETS ? b : STAT_BUCKETS - 1;
}

static void count(struct stat_op *o, const struct call *c, uint64_t us)
{
	const struct store_req *r = &c->inner;

	o->requests++;
	o->inflight--;
	o->us_sum += us;
	if (us > o->us_max)
		o->us_max = us;
	o->us_hist[bucket(us)]++;
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

	count(&st->c.op[inner->op], c, clock_mono_us(st->clock) - c->begun_us);
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

int stat_new(struct store **ret, struct store *inner, struct clock *clock)
{
	static const struct store_ops ops = {
		.kind = "stat",
		.submit = submit,
		.close = close_stat,
		.why = why,
	};
	struct stat_store *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->store.ops = &ops;
	st->inner = inner;
	st->clock = clock;
	list_init(&st->idle);
	*ret = &st->store;
	return 0;
}

const struct stat_counters *stat_get(const struct store *s)
{
	return &to_stat(s)->c;
}

uint64_t stat_quantile(const struct stat_op *o, unsigned int permille)
{
	uint64_t want = (o->requests * permille + 999) / 1000, n = 0;

	for (unsigned int b = 0; b < STAT_BUCKETS; b++) {
		n += o->us_hist[b];
		if (n && n >= want)
			return 2ull << b;
	}
	return 0;
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
