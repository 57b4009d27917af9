// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Latencies: requests of a kind one after the other, nothing else under way, and exact quantiles.
 * Throughput: one object alone tells how many at once the time allows for; then so many are kept
 * under way until the time is over, and what is under way then still counts, with its time.
 */
#include "store/trial_speed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "store/trial_io.h"

#define KIND_US	    15000000u /* a kind of request whose samples take longer has fewer */
#define SAMPLES_MIN 3u
#define FAILED_MAX  3u
#define SLOW_PUT_US 500000u
#define LIST_ENTS   256u

static uint64_t now(const struct trial *t)
{
	return clock_mono_us(t->env->clock);
}

static struct trial_row *new_row(struct trial *t, const char *name, const char *title)
{
	struct trial_row *row = &t->r->rows[t->r->nr_rows++];

	row->name = name;
	row->title = title;
	row->result = TRIAL_NOTE;
	return row;
}

/* ---- latency ----------------------------------------------------------------------------- */

static const struct kind {
	enum store_op op;
	const char *name, *title;
} kinds[] = {
	{ STORE_PUT, "put-latency", "PUT 4 KiB" },
	{ STORE_GET, "get-latency", "GET 4 KiB" },
	{ STORE_LIST, "list-latency", "LIST" },
	{ STORE_DELETE, "delete-latency", "DELETE" },
};

struct room {
	uint8_t buf[TRIAL_IO_SMALL];
	struct store_entry ents[LIST_ENTS];
	uint64_t us[];
};

static int prepare(struct trial *t, struct trial_shot *s, enum store_op op, uint32_t i,
		   struct room *m)
{
	char name[TRIAL_IO_NAME];

	snprintf(name, sizeof(name), "s/%u", i);
	switch (op) {
	case STORE_PUT:
		return trial_io_put(t, s, name, trial_io_id(t), TRIAL_IO_SMALL, false);
	case STORE_GET:
		trial_io_get(t, s, name, 0, m->buf, sizeof(m->buf));
		return 0;
	case STORE_LIST:
		trial_io_list(t, s, "s/", "", m->ents, LIST_ENTS);
		return 0;
	default:
		trial_io_delete(t, s, name);
		return 0;
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool failed(const struct store_req *r)
{
	return r->res < 0 && !(r->op == STORE_PUT && r->res == -EEXIST);
}

/* Of @made samples that were put, so that a GET finds its object. Returns how many were taken. */
static uint32_t measure(struct trial *t, const struct kind *k, uint32_t made, struct room *m)
{
	struct trial_latency *l = &t->r->latency[k->op];
	uint64_t begun = now(t);
	struct trial_shot s = { 0 };
	struct trial_row *row;
	uint32_t i, n = 0;
	ssize_t err = 0;

	for (i = 0; i < made && l->failed < FAILED_MAX && !trial_io_stopped(t); i++) {
		if (i >= SAMPLES_MIN && now(t) - begun > KIND_US)
			break;
		if (prepare(t, &s, k->op, i, m))
			break;
		trial_io_do(&s);
		if (failed(&s.req)) {
			err = s.req.res;
			l->failed++;
		} else {
			m->us[n++] = s.us;
		}
	}
	l->samples = n;
	qsort(m->us, n, sizeof(m->us[0]), by_size);
	if (n) {
		l->p50_us = m->us[(n - 1) / 2];
		l->p99_us = m->us[(99ull * n + 99) / 100 - 1];
	}
	row = new_row(t, k->name, k->title);
	if (err) {
		row->result = TRIAL_WARN;
		snprintf(row->text, sizeof(row->text), "%u of %u failed: ", l->failed, i);
		trial_io_why(t, err, "the last", row->text + strlen(row->text));
	} else if (!n) {
		snprintf(row->text, sizeof(row->text), "not measured");
	} else {
		snprintf(row->text, sizeof(row->text), "p50 %.1f ms, p99 %.1f ms (%u samples)",
			 (double)l->p50_us / 1000, (double)l->p99_us / 1000, n);
	}
	if (!err && k->op == STORE_PUT && l->p50_us > SLOW_PUT_US) {
		row->result = TRIAL_WARN;
		snprintf(row->text + strlen(row->text), 80,
			 ": a FLUSH takes as long, but by a journal");
	}
	return i;
}

static void latencies(struct trial *t)
{
	uint32_t made = t->o->samples;
	struct room *m = malloc(sizeof(*m) + made * sizeof(m->us[0]));

	for (size_t i = 0; m && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t n;

		if (trial_io_stopped(t))
			break;
		n = measure(t, &kinds[i], made, m);
		if (kinds[i].op == STORE_PUT)
			made = n;
	}
	free(m);
}

/* ---- throughput -------------------------------------------------------------------------- */

struct flow {
	struct trial *t;
	bool up;
	uint64_t begun_us, until_us;
	uint64_t bytes; /* of those that have ended well */
	uint64_t started; /* objects */
	uint64_t max;
	uint32_t objects; /* DOWN: there are so many to read */
	ssize_t err;
	bool wrong;
};

struct slot {
	struct trial_shot shot;
	struct flow *f;
	uint8_t *buf; /* DOWN */
	uint64_t id;
};

/* Objects of the throughput have numbers of their own, so that a GET knows what must come. */
static uint64_t object_id(uint64_t i)
{
	return 1ull << 32 | i;
}

static void next(struct slot *s)
{
	struct flow *f = s->f;
	struct trial *t = f->t;
	uint32_t len = t->o->object_bytes;
	char name[TRIAL_IO_NAME];
	uint64_t i = f->started;

	if (!f->up)
		i %= f->objects;
	s->id = object_id(i);
	snprintf(name, sizeof(name), "t/%llu", (unsigned long long)i);
	if (f->up) {
		f->err = trial_io_put(t, &s->shot, name, s->id, len, false);
		if (f->err)
			return;
	} else {
		trial_io_get(t, &s->shot, name, 0, s->buf, len);
	}
	f->started++;
	trial_io_start(&s->shot);
}

static void on_end(struct trial_shot *shot)
{
	struct slot *s = shot->priv;
	struct flow *f = s->f;
	uint32_t len = f->t->o->object_bytes;

	if (failed(&shot->req))
		f->err = shot->req.res;
	else if (!f->up &&
		 (shot->req.res != (ssize_t)len || !trial_io_is(f->t, s->id, 0, s->buf, len)))
		f->wrong = true;
	else
		f->bytes += len;
	if (!f->err && !f->wrong && now(f->t) < f->until_us && f->started < f->max &&
	    !trial_io_stopped(f->t))
		next(s);
}

static void run(struct flow *f, struct slot *slots, uint32_t n)
{
	f->begun_us = now(f->t);
	f->until_us = f->begun_us + (uint64_t)f->t->o->ms * 1000;
	for (uint32_t i = 0; i < n && f->started < f->max && !f->err; i++)
		next(&slots[i]);
	trial_io_wait(f->t);
}

static void free_slots(struct slot *slots, uint32_t n)
{
	for (uint32_t i = 0; slots && i < n; i++)
		free(slots[i].buf);
	free(slots);
}

static struct slot *new_slots(struct flow *f, uint32_t n)
{
	struct slot *slots = calloc(n, sizeof(*slots));

	for (uint32_t i = 0; slots && i < n; i++) {
		slots[i].f = f;
		slots[i].shot.then = on_end;
		slots[i].shot.priv = &slots[i];
		slots[i].buf = f->up ? NULL : malloc(f->t->o->object_bytes);
		if (!f->up && !slots[i].buf) {
			free_slots(slots, n);
			return NULL;
		}
	}
	return slots;
}

/* What one takes alone: on a line that all share, so many end within the time. */
static uint32_t how_many(const struct trial *t, uint64_t alone_us)
{
	uint64_t n = (uint64_t)t->o->ms * 1000 / (alone_us + 1);

	return n < 1 ? 1 : n > t->o->parallel ? t->o->parallel : (uint32_t)n;
}

static void say_rate(struct trial *t, const struct flow *f, const struct trial_rate *rate)
{
	struct trial_row *row = new_row(t, f->up ? "put-throughput" : "get-throughput",
					f->up ? "PUT throughput" : "GET throughput");
	char size[PARSE_SIZE_STR];

	if (f->wrong) {
		row->result = TRIAL_FAIL;
		snprintf(row->text, sizeof(row->text),
			 "what was read is not what had been written");
	} else if (f->err) {
		row->result = TRIAL_WARN;
		trial_io_why(t, f->err, f->up ? "PUT" : "GET", row->text);
	} else {
		snprintf(row->text, sizeof(row->text), "%.1f MB/s, %u at once of %s",
			 rate->us ? (double)rate->bytes / (double)rate->us : 0, rate->parallel,
			 parse_size_str(size, t->o->object_bytes));
	}
}

/* Returns how many objects it has written, or read. */
static uint32_t throughput(struct trial *t, bool up, uint32_t objects)
{
	struct flow f = { .t = t, .up = up, .objects = objects, .max = 1 };
	struct trial_rate *rate = up ? &t->r->up : &t->r->down;
	struct slot *slots = new_slots(&f, t->o->parallel);
	uint64_t cap = TRIAL_BYTES_MAX / t->o->object_bytes;
	uint32_t n = 1;

	if (!slots)
		f.err = -ENOMEM;
	else
		run(&f, slots, 1);
	rate->us = slots ? slots[0].shot.us : 0;
	rate->bytes = f.bytes;
	rate->parallel = 1;
	if (!f.err && !f.wrong && rate->us < (uint64_t)t->o->ms * 1000 && !trial_io_stopped(t)) {
		n = how_many(t, rate->us);
		f.bytes = 0;
		f.max = cap > 1 ? cap : 1;
		if (f.started < f.max)
			run(&f, slots, n);
		if (f.bytes)
			*rate = (struct trial_rate){ f.bytes, now(t) - f.begun_us, n };
	}
	free_slots(slots, t->o->parallel);
	say_rate(t, &f, rate);
	return (uint32_t)f.started;
}

void trial_speed(struct trial *t)
{
	uint32_t n;

	if (t->o->samples)
		latencies(t);
	if (!t->o->ms || trial_io_stopped(t))
		return;
	n = throughput(t, true, 0);
	if (t->r->rows[t->r->nr_rows - 1].result == TRIAL_NOTE && !trial_io_stopped(t))
		throughput(t, false, n);
}
