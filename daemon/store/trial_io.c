// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/trial_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/le.h"

#define SHIFTS	      64u /* bodies with different numbers begin at different places of the noise */
#define SHIFT_BYTES   64u
#define CLEAN_AT_ONCE 16u
#define CLEAN_PAGE    256u
#define CLEAN_ROUNDS  64u

int trial_io_init(struct trial *t)
{
	size_t n = t->o->object_bytes > TRIAL_IO_LARGE ? t->o->object_bytes : TRIAL_IO_LARGE;

	t->noise = malloc(n + SHIFTS * SHIFT_BYTES);
	if (!t->noise)
		return -ENOMEM;
	randombytes_buf(t->noise, n + SHIFTS * SHIFT_BYTES);
	t->idle = true;
	t->next_id = 1;
	return 0;
}

void trial_io_free(struct trial *t)
{
	free(t->noise);
	free(t->names);
}

bool trial_io_stopped(const struct trial *t)
{
	return t->env->stopped && t->env->stopped(t->env->ctx);
}

uint64_t trial_io_id(struct trial *t)
{
	return t->next_id++;
}

/* ---- bodies ------------------------------------------------------------------------------ */

static void make_tag(const struct trial *t, uint64_t id, uint8_t tag[TRIAL_IO_TAG])
{
	le64 v = le_64(id);

	memcpy(tag, v.b, sizeof(v));
	memcpy(tag + sizeof(v), t->noise, TRIAL_IO_TAG - sizeof(v));
}

static uint8_t *rest_of(const struct trial *t, uint64_t id)
{
	return t->noise + id % SHIFTS * SHIFT_BYTES;
}

bool trial_io_is(const struct trial *t, uint64_t id, uint64_t off, const void *p, size_t n)
{
	uint8_t tag[TRIAL_IO_TAG];
	size_t k = off < TRIAL_IO_TAG ? TRIAL_IO_TAG - (size_t)off : 0;

	make_tag(t, id, tag);
	if (k > n)
		k = n;
	if (k && memcmp(p, tag + off, k) != 0)
		return false;
	return !memcmp((const uint8_t *)p + k, rest_of(t, id) + off + k - TRIAL_IO_TAG, n - k);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void prepare(struct trial *t, struct trial_shot *s, enum store_op op, const char *name)
{
	memset(&s->req, 0, sizeof(s->req));
	s->t = t;
	s->req.op = op;
	s->name_index = ~0u;
	snprintf(s->req.name, sizeof(s->req.name), "%s%s", t->r->prefix, name);
}

static uint32_t find_name(const struct trial *t, const char *name)
{
	uint32_t i;

	for (i = t->nr_names; i-- > 0;)
		if (!strcmp(t->names[i].name, name))
			return i;
	return ~0u;
}

/* The name is kept before its object can be there. */
static int keep_name(struct trial *t, struct trial_shot *s)
{
	uint32_t i = find_name(t, s->req.name);

	if (i == ~0u) {
		if (t->nr_names == t->room_names) {
			uint32_t room = t->room_names ? 2 * t->room_names : 128;
			struct trial_name *p = realloc(t->names, room * sizeof(*p));

			if (!p)
				return -ENOMEM;
			t->names = p;
			t->room_names = room;
		}
		i = t->nr_names++;
		snprintf(t->names[i].name, sizeof(t->names[i].name), "%.63s", s->req.name);
	}
	t->names[i].removed = false;
	s->name_index = i;
	return 0;
}

int trial_io_put(struct trial *t, struct trial_shot *s, const char *name, uint64_t id, size_t len,
		 bool replace)
{
	prepare(t, s, STORE_PUT, name);
	make_tag(t, id, s->tag);
	s->iov[0] = (struct iovec){ s->tag, TRIAL_IO_TAG };
	s->iov[1] = (struct iovec){ rest_of(t, id), len - TRIAL_IO_TAG };
	s->req.iov = s->iov;
	s->req.niov = 2;
	s->req.replace = replace;
	return keep_name(t, s);
}

void trial_io_get(struct trial *t, struct trial_shot *s, const char *name, uint64_t off, void *buf,
		  size_t len)
{
	prepare(t, s, STORE_GET, name);
	s->req.off = off;
	s->req.buf = buf;
	s->req.len = len;
}

void trial_io_list(struct trial *t, struct trial_shot *s, const char *prefix, const char *after,
		   struct store_entry *ents, uint32_t max)
{
	prepare(t, s, STORE_LIST, prefix);
	if (*after)
		snprintf(s->req.after, sizeof(s->req.after), "%s%s", t->r->prefix, after);
	s->req.ents = ents;
	s->req.max_ents = max;
}

void trial_io_delete(struct trial *t, struct trial_shot *s, const char *name)
{
	prepare(t, s, STORE_DELETE, name);
	s->name_index = find_name(t, s->req.name);
}

static bool is_answer(const struct store_req *r)
{
	return r->res >= 0 || (r->op == STORE_PUT && r->res == -EEXIST) ||
	       (r->op == STORE_GET && r->res == -ENOENT);
}

static void on_done(struct store_req *r)
{
	struct trial_shot *s = r->priv;
	struct trial *t = s->t;

	s->us = clock_mono_us(t->env->clock) - s->begun_us;
	if (!is_answer(r))
		t->failures++;
	else if (r->op == STORE_GET && r->res > 0)
		t->r->bytes_down += (uint64_t)r->res;
	else if (r->op == STORE_DELETE && s->name_index != ~0u)
		t->names[s->name_index].removed = true;
	t->pending--;
	if (s->then)
		s->then(s);
	t->idle = !t->pending;
}

void trial_io_start(struct trial_shot *s)
{
	struct trial *t = s->t;

	s->req.done = on_done;
	s->req.priv = s;
	t->pending++;
	t->idle = false;
	t->r->requests[s->req.op]++;
	if (s->req.op == STORE_PUT)
		t->r->bytes_up += s->iov[0].iov_len + s->iov[1].iov_len;
	s->begun_us = clock_mono_us(t->env->clock);
	store_submit(t->env->store, &s->req);
}

void trial_io_wait(struct trial *t)
{
	if (!t->idle)
		t->env->wait(t->env->ctx, &t->idle);
}

ssize_t trial_io_do(struct trial_shot *s)
{
	trial_io_start(s);
	trial_io_wait(s->t);
	return s->req.res;
}

int trial_io_put_get(struct trial *t, const char *name, uint64_t id, size_t len, char *text)
{
	struct trial_shot s = { 0 };
	uint8_t *buf = malloc(len);
	ssize_t n;
	int rc = buf ? trial_io_put(t, &s, name, id, len, false) : -ENOMEM;

	if (rc)
		goto out;
	n = trial_io_do(&s);
	/* An earlier try of the same PUT may have made it: what is there tells. */
	if (n && n != -EEXIST) {
		rc = (int)n;
		goto out;
	}
	trial_io_get(t, &s, name, 0, buf, len);
	n = trial_io_do(&s);
	if (n == -ENOENT) {
		snprintf(text, TRIAL_TEXT, "an object was not there after its PUT had ended");
		rc = -EBADMSG;
	} else if (n < 0) {
		trial_io_why(t, n, "GET", text);
		rc = -EBADMSG;
	} else if ((size_t)n != len || s.req.size != len || !trial_io_is(t, id, 0, buf, len)) {
		snprintf(text, TRIAL_TEXT, "what was read is not what had been written");
		rc = -EBADMSG;
	}
out:
	free(buf);
	if (rc && rc != -EBADMSG)
		trial_io_why(t, rc, "PUT", text);
	return rc;
}

static const char *words(ssize_t err)
{
	switch (err) {
	case -EACCES:
		return "no permission";
	case -EROFS:
		return "the store is read-only";
	case -ENOSPC:
		return "the store is full";
	case -ENOENT:
		return "it is not there";
	case -EEXIST:
		return "the name is taken";
	default:
		return strerror((int)-err);
	}
}

char *trial_io_why(struct trial *t, ssize_t err, const char *what, char *text)
{
	char why[TRIAL_TEXT] = "";

	if (err != -ENOENT && err != -EEXIST && err != -ENOMEM)
		store_why(t->env->store, why, sizeof(why));
	if (*why)
		snprintf(text, TRIAL_TEXT, "%s", why);
	else
		snprintf(text, TRIAL_TEXT, "%s: %s", what, words(err));
	return text;
}

/* ---- removing ---------------------------------------------------------------------------- */

static void delete_all(struct trial *t, const char *const *names, uint32_t n, ssize_t *err)
{
	struct trial_shot *shots = calloc(CLEAN_AT_ONCE, sizeof(*shots));
	struct trial_shot one = { 0 };
	uint32_t room = shots ? CLEAN_AT_ONCE : 1;
	struct trial_shot *s = shots ? shots : &one;

	for (uint32_t i = 0; i < n; i += room) {
		uint32_t k = n - i < room ? n - i : room;

		for (uint32_t j = 0; j < k; j++) {
			trial_io_delete(t, &s[j], names[i + j] + strlen(t->r->prefix));
			trial_io_start(&s[j]);
		}
		trial_io_wait(t);
		for (uint32_t j = 0; j < k; j++)
			if (s[j].req.res < 0)
				*err = s[j].req.res;
	}
	free(shots);
}

/* Of the names that were written, those that no DELETE has been answered for. */
static uint32_t delete_known(struct trial *t, ssize_t *err)
{
	const char **names = malloc((t->nr_names + 1) * sizeof(*names));
	uint32_t n = 0, left = 0, i;

	for (i = 0; i < t->nr_names && names; i++)
		if (!t->names[i].removed)
			names[n++] = t->names[i].name;
	if (names)
		delete_all(t, names, n, err);
	free(names);
	for (i = 0; i < t->nr_names; i++)
		left += !t->names[i].removed;
	return left;
}

/* What a LIST still finds: a DELETE that did nothing, a PUT that came late. */
static ssize_t delete_found(struct trial *t, struct store_entry *ents, ssize_t *err)
{
	const char *names[CLEAN_PAGE];
	struct trial_shot s = { 0 };
	ssize_t n;

	trial_io_list(t, &s, "", "", ents, CLEAN_PAGE);
	n = trial_io_do(&s);
	for (ssize_t i = 0; i < n; i++)
		names[i] = ents[i].name;
	if (n > 0)
		delete_all(t, names, (uint32_t)n, err);
	return n;
}

uint32_t trial_io_clean(struct trial *t, char *text)
{
	struct store_entry *ents = malloc(CLEAN_PAGE * sizeof(*ents));
	char first[STORE_NAME_MAX] = "";
	ssize_t err = 0, n = -ENOMEM;
	uint32_t left = delete_known(t, &err);

	for (uint32_t i = 0; i < CLEAN_ROUNDS && ents; i++) {
		n = delete_found(t, ents, &err);
		if (n <= 0 || !strcmp(first, ents[0].name))
			break; /* none, or they stay */
		strcpy(first, ents[0].name);
	}
	free(ents);
	if (n >= 0)
		left = (uint32_t)n;
	if (left && err)
		trial_io_why(t, err, "DELETE", text);
	else if (left)
		snprintf(text, TRIAL_TEXT, "they are still listed after DELETE");
	else if (n < 0)
		snprintf(text, TRIAL_TEXT, "no LIST said so at the end");
	return left;
}
