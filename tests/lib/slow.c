// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/slow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/mem.h"

struct slow_call {
	struct list_head link;
	struct store_req *r;
	uint64_t begin_us;
	double left; /* bytes */
};

static struct slow *to_slow(struct store *s)
{
	return container_of(s, struct slow, store);
}

static uint64_t body_len(const struct store_req *r)
{
	uint64_t len = 0;

	for (int i = 0; r->op == STORE_PUT && i < r->niov; i++)
		len += r->iov[i].iov_len;
	return len;
}

static void submit(struct store *store, struct store_req *r)
{
	struct slow *s = to_slow(store);
	struct slow_call *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->r = r;
	c->begin_us = s->now_us;
	c->left = (double)body_len(r);
	list_add_tail(&c->link, &s->calls);
}

static void close_slow(struct store *store)
{
	(void)store;
}

void slow_init(struct slow *s, struct store *mem, uint64_t bytes_per_s, uint64_t latency_us)
{
	static const struct store_ops ops = {
		.kind = "slow",
		.submit = submit,
		.close = close_slow,
	};

	*s = (struct slow){
		.store = { &ops }, .mem = mem, .bytes_per_s = bytes_per_s, .latency_us = latency_us
	};
	list_init(&s->calls);
}

/* Bytes per microsecond of each PUT that is in its bytes. */
static double share(const struct slow *s)
{
	const struct slow_call *c;
	unsigned int n = 0;

	list_for_each_entry(c, &s->calls, link)
		n += c->left > 0;
	if (n && s->each)
		n = 1;
	return n ? (double)s->bytes_per_s / 1e6 / n : 0;
}

static uint64_t due(const struct slow *s, const struct slow_call *c, double rate)
{
	uint64_t own = c->begin_us + s->latency_us, bytes = s->now_us;

	if (c->left > 0)
		bytes += (uint64_t)(c->left / rate) + 1;
	return own > bytes ? own : bytes;
}

uint64_t slow_next(const struct slow *s)
{
	const struct slow_call *c;
	uint64_t at = ~0ull;
	double rate = share(s);

	if (s->away)
		return at;
	list_for_each_entry(c, &s->calls, link) {
		uint64_t d = due(s, c, rate);

		at = d < at ? d : at;
	}
	return at;
}

static void inner_done(struct store_req *r)
{
	(void)r;
}

static void finish(struct slow *s, struct slow_call *c)
{
	struct store_req *r = c->r, inner = *r;

	list_del(&c->link);
	free(c);
	if (r->op == STORE_PUT && !strncmp(r->name, "seg/", 4))
		inner.niov = 0; /* what is in it, nobody asks */
	inner.done = inner_done;
	store_submit(s->mem, &inner);
	mem_run(s->mem);
	r->res = inner.res;
	r->size = inner.size;
	s->put_bytes += body_len(r);
	r->done(r);
}

/* One that is through, if there is one. */
static bool finish_one(struct slow *s)
{
	struct slow_call *c;

	list_for_each_entry(c, &s->calls, link) {
		if (c->left <= 0 && c->begin_us + s->latency_us <= s->now_us) {
			finish(s, c);
			return true;
		}
	}
	return false;
}

/* Shares change only when something ends. */
static void move_bytes(struct slow *s, uint64_t us)
{
	double rate = share(s);
	struct slow_call *c;

	list_for_each_entry(c, &s->calls, link)
		if (c->left > 0)
			c->left -= rate * (double)us;
}

void slow_advance(struct slow *s, uint64_t now_us)
{
	while (s->now_us < now_us) {
		uint64_t at = slow_next(s);

		at = at < now_us ? at : now_us;
		if (!s->away)
			move_bytes(s, at - s->now_us);
		s->now_us = at > s->now_us ? at : s->now_us + 1;
		while (!s->away && finish_one(s))
			;
	}
}

void slow_die(struct slow *s)
{
	while (!list_empty(&s->calls)) {
		struct slow_call *c = list_first_entry(&s->calls, struct slow_call, link);
		struct store_req *r = c->r;

		list_del(&c->link);
		free(c);
		r->res = -EIO;
		r->done(r);
	}
}
