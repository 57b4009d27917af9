// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/delay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/core.h"
#include "store/mem.h"

struct call {
	struct list_head link;
	struct store_req *r;
	uint64_t begin, due;
};

struct delay {
	struct store store;
	struct store *mem;
	struct core *core;
	struct delay_conf conf;
	pthread_t thread;
	pthread_cond_t more;

	/* Guarded by the core lock. */
	struct list_head calls; /* by the time they are due */
	int err;
	bool stop;
	struct delay_count puts[DELAY_NR_KINDS], ops[STORE_NR_OPS];
	struct delay_span spans[DELAY_SPANS]; /* a ring */
	uint64_t nr_spans;
};

static struct delay *to_delay(const struct store *s)
{
	return container_of(s, struct delay, store);
}

static enum delay_kind kind_of(const char *name)
{
	static const char *const prefix[] = { "seg/", "run/", "manifest/", "head/" };

	for (int i = 0; i < DELAY_OTHER; i++) {
		if (!strncmp(name, prefix[i], strlen(prefix[i])))
			return (enum delay_kind)i;
	}
	return DELAY_OTHER;
}

static uint64_t body_len(const struct store_req *r)
{
	uint64_t len = 0;

	if (r->op == STORE_GET)
		return r->len;
	for (int i = 0; r->op == STORE_PUT && i < r->niov; i++)
		len += r->iov[i].iov_len;
	return len;
}

static void submit(struct store *s, struct store_req *r)
{
	struct delay *d = to_delay(s);
	struct call *c = calloc(1, sizeof(*c));
	struct list_head *p;

	if (!c)
		abort(); /* a test's tool */
	d->ops[r->op].requests++;
	c->r = r;
	c->begin = clock_mono_us(clock_system());
	c->due = c->begin + (r->op == STORE_PUT ? d->conf.put_us : d->conf.get_us);
	if (d->conf.bytes_per_s)
		c->due += body_len(r) * 1000000 / d->conf.bytes_per_s;
	for (p = d->calls.prev; p != &d->calls; p = p->prev) {
		if (list_entry(p, struct call, link)->due <= c->due)
			break;
	}
	list_add(&c->link, p);
	if (d->calls.next == &c->link)
		pthread_cond_signal(&d->more);
}

static void account(struct delay *d, const struct call *c, enum delay_kind kind, uint64_t len)
{
	if (c->r->op == STORE_GET && c->r->res >= 0)
		d->ops[STORE_GET].bytes += (uint64_t)c->r->res;
	if (c->r->op != STORE_PUT)
		return;
	d->spans[d->nr_spans++ % DELAY_SPANS] =
		(struct delay_span){ c->begin, clock_mono_us(clock_system()) };
	if (c->r->res)
		return;
	d->puts[kind].requests++;
	d->puts[kind].bytes += len;
	d->ops[STORE_PUT].bytes += len;
}

static void inner_done(struct store_req *r)
{
	(void)r;
}

/* What is to be known of a request is known before its owner hears of its end. */
static void finish(struct delay *d, struct call *c)
{
	struct store_req *r = c->r, inner = *r;
	enum delay_kind kind = kind_of(r->name);

	if (d->err) {
		r->res = d->err;
	} else {
		if (kind == DELAY_SEG && d->conf.drop_segments)
			inner.niov = 0;
		inner.done = inner_done;
		store_submit(d->mem, &inner);
		mem_run(d->mem);
		r->res = inner.res;
		r->size = inner.size;
	}
	account(d, c, kind, body_len(r));
	free(c);
	r->done(r);
}

static void *thread(void *arg)
{
	struct delay *d = arg;

	core_lock(d->core);
	while (!d->stop) {
		struct call *c;

		if (list_empty(&d->calls)) {
			core_wait_on(d->core, &d->more, UINT64_MAX);
			continue;
		}
		c = list_first_entry(&d->calls, struct call, link);
		if (c->due > clock_mono_us(clock_system())) {
			core_wait_on(d->core, &d->more, c->due);
			continue;
		}
		list_del(&c->link);
		finish(d, c);
		/* Who waits for what has ended is woken by an unlock. */
		core_unlock(d->core);
		core_lock(d->core);
	}
	core_unlock(d->core);
	return NULL;
}

static void close_delay(struct store *s)
{
	struct delay *d = to_delay(s);

	core_lock(d->core);
	d->stop = true;
	pthread_cond_signal(&d->more);
	core_unlock(d->core);
	pthread_join(d->thread, NULL);
	pthread_cond_destroy(&d->more);
	free(d);
}

int delay_new(struct store **ret, struct store *mem, struct core *core, struct delay_conf conf)
{
	static const struct store_ops ops = {
		.kind = "delay",
		.submit = submit,
		.close = close_delay,
	};
	struct delay *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return -ENOMEM;
	d->store.ops = &ops;
	d->mem = mem;
	d->core = core;
	d->conf = conf;
	list_init(&d->calls);
	rc = core_cond_init(&d->more);
	if (!rc)
		rc = -pthread_create(&d->thread, NULL, thread, d);
	if (rc) {
		free(d);
		return rc;
	}
	*ret = &d->store;
	return 0;
}

void delay_fail(struct store *s, int err)
{
	to_delay(s)->err = err;
}

struct delay_count delay_puts(const struct store *s, enum delay_kind kind)
{
	return to_delay(s)->puts[kind];
}

struct delay_count delay_ops(const struct store *s, enum store_op op)
{
	return to_delay(s)->ops[op];
}

uint32_t delay_spans(const struct store *s, struct delay_span *ret)
{
	const struct delay *d = to_delay(s);
	uint64_t from = d->nr_spans > DELAY_SPANS ? d->nr_spans - DELAY_SPANS : 0;
	uint32_t n = 0;

	for (uint64_t i = from; i < d->nr_spans; i++)
		ret[n++] = d->spans[i % DELAY_SPANS];
	return n;
}
