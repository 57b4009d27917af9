// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Store I/O of the core: see sio.h.
 *
 * Happy path: new, start, done. Failure modes: a failed try is repeated after a pause, under the
 * same name with the same bytes (what a create-only store makes safe); an outage is told once when
 * it begins and once when it ends; when a request of a kind succeeds, all that wait for that kind
 * go at once.
 */
#include "volume/sio.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "volume/notice.h"
#include "volume/volume.h"

void sio_ctx_init(struct sio_ctx *c, const struct volume_env *env)
{
	memset(c, 0, sizeof(*c));
	c->env = env;
	list_init(&c->delayed);
}

struct sio *sio_new(struct sio_ctx *c, enum store_op op, const char *name)
{
	struct sio *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ctx = c;
	s->req.op = op;
	memcpy(s->req.name, name, strnlen(name, STORE_NAME_MAX - 1));
	list_init(&s->link);
	list_init(&s->req.link);
	return s;
}

struct sio *sio_put(struct sio_ctx *c, const char *name, void *body, size_t len)
{
	struct sio *s = sio_new(c, STORE_PUT, name);

	if (!s) {
		free(body);
		return NULL;
	}
	s->body = body;
	s->iov = (struct iovec){ .iov_base = body, .iov_len = len };
	s->req.iov = &s->iov;
	s->req.niov = 1;
	return s;
}

struct sio *sio_get(struct sio_ctx *c, const char *name, uint64_t off, size_t len)
{
	void *body = malloc(len ? len : 1);

	return body ? sio_get_into(c, name, off, len, body) : NULL;
}

struct sio *sio_get_into(struct sio_ctx *c, const char *name, uint64_t off, size_t len, void *body)
{
	struct sio *s = sio_new(c, STORE_GET, name);

	if (!s) {
		free(body);
		return NULL;
	}
	s->body = body;
	s->req.off = off;
	s->req.buf = s->body;
	s->req.len = len;
	return s;
}

struct sio *sio_list(struct sio_ctx *c, const char *prefix, const char *after, uint32_t max)
{
	struct sio *s = sio_new(c, STORE_LIST, prefix);

	if (!s)
		return NULL;
	s->body = calloc(max, sizeof(struct store_entry));
	if (!s->body) {
		free(s);
		return NULL;
	}
	memcpy(s->req.after, after, strnlen(after, STORE_NAME_MAX - 1));
	s->req.ents = s->body;
	s->req.max_ents = max;
	return s;
}

void *sio_take_body(struct sio *s)
{
	void *body = s->body;

	assert(s->state == SIO_DONE);
	s->body = NULL;
	return body;
}

const struct store_entry *sio_entries(const struct sio *s)
{
	return s->body;
}

static void sio_free(struct sio *s)
{
	free(s->body);
	free(s);
}

bool sio_is_final(int err)
{
	return err == -EACCES || err == -EPERM || err == -EROFS || err == -EINVAL;
}

const char *sio_reason(const struct volume_env *env, int err, char *out, size_t len)
{
	char why[400];

	store_why(env->store, why, sizeof(why));
	if (*why)
		snprintf(out, len, "%s (%s)", notice_errno(err), why);
	else
		snprintf(out, len, "%s", notice_errno(err));
	return out;
}

static bool any_outage(const struct sio_ctx *c)
{
	int op;

	for (op = 0; op < STORE_NR_OPS; op++)
		if (c->outage[op])
			return true;
	return false;
}

static void outage_begin(struct sio_ctx *c, enum store_op op, int err)
{
	char text[SIO_REASON_LEN];
	bool first = c->recovering ? !any_outage(c) : !c->outage[op];

	if (!c->outage[op])
		c->outage_us[op] = clock_mono_us(c->env->clock);
	c->outage[op] = err;
	if (!first || c->quiet)
		return;
	if (c->recovering)
		notice_say(c->env, NOTICE_WARN,
			   "store: %s; the volume comes up when it answers, retrying every %u s at "
			   "most",
			   sio_reason(c->env, err, text, sizeof(text)), SIO_PAUSE_MAX / 1000000);
	else if (op == STORE_PUT)
		notice_say(c->env, NOTICE_WARN,
			   "store: %s; flushes wait, retrying every %u s at most",
			   sio_reason(c->env, err, text, sizeof(text)), SIO_PAUSE_MAX / 1000000);
	else
		notice_say(c->env, NOTICE_WARN, "store: %s; %s wait, retrying every %u s at most",
			   sio_reason(c->env, err, text, sizeof(text)),
			   op == STORE_GET ? "reads" : "look-ups", SIO_PAUSE_MAX / 1000000);
}

static void outage_end(struct sio_ctx *c, enum store_op op)
{
	struct sio *s;

	if (!c->outage[op])
		return;
	c->outage[op] = 0;
	if (c->recovering && !c->quiet && !any_outage(c))
		notice_say(c->env, NOTICE_WARN, "store: works again");
	else if (!c->recovering && !c->quiet)
		notice_say(c->env, NOTICE_WARN, "store: works again (%s)",
			   op == STORE_PUT ? "writing" :
			   op == STORE_GET ? "reading" :
					     "listing");
	list_for_each_entry(s, &c->delayed, link)
		if (s->req.op == op)
			s->retry_at = 0;
}

static bool is_answer(const struct sio *s, ssize_t res)
{
	return res >= 0 || (s->req.op == STORE_PUT && res == -EEXIST) ||
	       (s->req.op != STORE_PUT && res == -ENOENT);
}

static bool tries_again(const struct sio *s, int err)
{
	if (s->max_tries == SIO_PATIENT)
		return !sio_is_final(err);
	return s->max_tries == SIO_FOR_EVER || s->tries < s->max_tries;
}

static void on_answer(struct store_req *r)
{
	struct sio *s = container_of(r, struct sio, req);
	struct sio_ctx *c = s->ctx;
	bool ok = is_answer(s, r->res);

	if (s->dropped) {
		sio_free(s);
		return;
	}
	if (ok) {
		outage_end(c, r->op);
	} else {
		c->errors++;
		if (s->max_tries == SIO_FOR_EVER ||
		    (s->max_tries == SIO_PATIENT && tries_again(s, (int)r->res)))
			outage_begin(c, r->op, (int)r->res);
	}
	s->tries++;
	if (!ok && tries_again(s, (int)r->res)) {
		uint64_t pause = (uint64_t)SIO_PAUSE_MIN << (s->tries < 6 ? s->tries - 1 : 5);

		s->state = SIO_DELAYED;
		s->retry_at = clock_mono_us(c->env->clock) +
			      (pause < SIO_PAUSE_MAX ? pause : SIO_PAUSE_MAX);
		list_add_tail(&s->link, &c->delayed);
		return;
	}
	s->state = SIO_DONE;
	s->res = r->res;
	s->finished = true;
	if (s->done)
		s->done(s);
}

static void send(struct sio *s)
{
	s->state = SIO_BUSY;
	if (s->max_tries == SIO_FOR_EVER || s->max_tries == SIO_PATIENT)
		s->sent_us = clock_mono_us(s->ctx->env->clock);
	s->req.done = on_answer;
	store_submit(s->ctx->env->store, &s->req);
}

void sio_start(struct sio *s, uint32_t max_tries)
{
	s->max_tries = max_tries;
	send(s);
}

int sio_wait(struct sio *s)
{
	int err = s->finished ? 0 : s->ctx->env->wait(s->ctx->env->ctx, &s->finished);

	return s->finished ? 0 : err ? err : -EINTR;
}

/* What a request without done() brought. [waits] */
static ssize_t outcome(struct sio *s)
{
	int err = sio_wait(s);

	return err ? err : s->res;
}

static int compare(struct sio_ctx *c, const char *name, const void *body, size_t len)
{
	struct sio *g = sio_get(c, name, 0, len + 1);
	ssize_t n;

	if (!g)
		return -ENOMEM;
	sio_start(g, 1);
	n = outcome(g);
	if (n >= 0)
		n = (size_t)n == len && !memcmp(g->body, body, len) ? 0 : -EEXIST;
	sio_drop(g);
	return (int)n;
}

int sio_create(struct sio_ctx *c, const char *name, void *body, size_t len)
{
	struct sio *s = sio_put(c, name, body, len);
	int err;

	if (!s)
		return -ENOMEM;
	sio_start(s, 1);
	err = (int)outcome(s);
	if (err == -EEXIST)
		err = compare(c, name, s->body, len);
	sio_drop(s);
	return err;
}

void sio_drop(struct sio *s)
{
	if (!s)
		return;
	if (s->state == SIO_BUSY) {
		s->dropped = true;
		return;
	}
	list_del(&s->link);
	sio_free(s);
}

void sio_tick(struct sio_ctx *c)
{
	uint64_t now = clock_mono_us(c->env->clock);
	struct sio *s, *tmp;

	list_for_each_entry_safe(s, tmp, &c->delayed, link) {
		if (s->retry_at > now)
			continue;
		list_del(&s->link);
		c->retries++;
		send(s);
	}
}

uint64_t sio_deadline(const struct sio_ctx *c)
{
	uint64_t at = ~0ull;
	struct sio *s;

	list_for_each_entry(s, &c->delayed, link)
		if (s->retry_at < at)
			at = s->retry_at;
	return at;
}

void sio_ctx_free(struct sio_ctx *c)
{
	struct sio *s, *tmp;

	list_for_each_entry_safe(s, tmp, &c->delayed, link) {
		list_del(&s->link);
		sio_free(s);
	}
}
