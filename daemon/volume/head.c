// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Heads: see head.h.
 *
 * Happy path: PUT, LIST (the newest is ours), remember it on this host. Failure modes: the name is
 * taken: GET it; our own nonce means that an answer was lost and the head is ours; anything else is
 * somebody else's. The list shows a newer one: stale, whoever made it.
 */
#include "volume/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt_name.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/seen.h"
#include "volume/sio.h"
#include "volume/vol.h"

static void end(struct head_op *op, int res)
{
	struct volume *v = op->v;

	if (!res) {
		v->head = op->h;
		v->st.heads++;
		res = seen_save(v);
		if (res)
			seen_complain(v, NOTICE_WARN, res);
		res = 0;
	}
	op->res = res;
	op->finished = true;
	if (op->done)
		op->done(op);
}

static void submit(struct head_op *op, struct sio *s, void (*done)(struct sio *s))
{
	op->sio = s;
	if (!s) {
		end(op, -ENOMEM);
		return;
	}
	s->done = done;
	s->priv = op;
	sio_start(s, op->tries);
}

static struct head_op *take(struct sio *s)
{
	struct head_op *op = s->priv;

	op->sio = NULL;
	return op;
}

uint64_t head_listed(const struct sio *s)
{
	uint64_t version;

	if (s->res < 1 || fmt_name_parse_head(sio_entries(s)[0].name, &version))
		return 0;
	return version;
}

static void on_list(struct sio *s)
{
	struct head_op *op = take(s);
	uint64_t newest = head_listed(s);
	int res = s->res < 0 ? (int)s->res : newest == op->h.version ? 0 : -ESTALE;

	sio_drop(s);
	end(op, res);
}

static void list(struct head_op *op)
{
	submit(op, sio_list(&op->v->sio, FMT_PREFIX_HEAD, "", 1), on_list);
}

static void on_look(struct sio *s)
{
	struct head_op *op = take(s);
	struct fmt_head h;
	int res = s->res < 0 ? (int)s->res :
			       fmt_head_open(&h, s->body, s->res, op->v->uuid, op->h.version,
					     keys_get(op->v->kr, KEYS_HEAD));

	sio_drop(s);
	if (res) {
		end(op, res);
	} else if (memcmp(h.nonce, op->h.nonce, sizeof(h.nonce))) {
		end(op, -EEXIST);
	} else if (h.manifest_id != op->h.manifest_id || h.replay_from != op->h.replay_from) {
		/*
		 * an earlier attempt of ours that was given up after its PUT: it counts, this one
		 * does not
		 */
		op->v->head = h;
		end(op, -EAGAIN);
	} else {
		list(op);
	}
}

static void on_put(struct sio *s)
{
	struct head_op *op = take(s);
	int res = (int)s->res;
	char name[FMT_NAME_MAX];

	sio_drop(s);
	if (res == -EEXIST) {
		fmt_name_head(name, op->h.version);
		submit(op, sio_get(&op->v->sio, name, 0, FMT_HEAD_LEN + 1), on_look);
	} else if (res) {
		end(op, res);
	} else {
		list(op);
	}
}

void head_create(struct head_op *op, uint32_t tries)
{
	char name[FMT_NAME_MAX];
	uint8_t *body = malloc(FMT_HEAD_LEN);
	int err;

	op->tries = tries;
	op->finished = false;
	if (!body) {
		end(op, -ENOMEM);
		return;
	}
	err = fmt_head_seal(body, &op->h, op->v->uuid, keys_get(op->v->kr, KEYS_HEAD));
	if (err) {
		free(body);
		end(op, err);
		return;
	}
	fmt_name_head(name, op->h.version);
	submit(op, sio_put(&op->v->sio, name, body, FMT_HEAD_LEN), on_put);
}

void head_cancel(struct head_op *op)
{
	sio_drop(op->sio);
	op->sio = NULL;
}

int head_newest(struct volume *v, uint64_t *ret_version)
{
	struct sio *s = sio_list(&v->sio, FMT_PREFIX_HEAD, "", 1);
	uint64_t version;
	int err;

	if (!s)
		return -ENOMEM;
	sio_start(s, SIO_PATIENT);
	err = sio_wait(s);
	if (!err && s->res < 0)
		err = (int)s->res;
	if (!err && s->res == 0)
		err = -ENOENT;
	version = err ? 0 : head_listed(s);
	if (!err && !version) {
		notice_say(&v->env, NOTICE_ERR, "object %s: not a head's name",
			   sio_entries(s)[0].name);
		err = -EBADMSG;
	}
	sio_drop(s);
	if (!err)
		*ret_version = version;
	return err;
}

int head_overtaken(struct volume *v, uint64_t version)
{
	uint64_t newest;
	int err = head_newest(v, &newest);

	return err ? err : newest == version ? 0 : -ESTALE;
}

int head_read(struct volume *v, uint64_t version, struct fmt_head *ret)
{
	char name[FMT_NAME_MAX];
	struct sio *s;
	int err;

	fmt_name_head(name, version);
	s = sio_get(&v->sio, name, 0, FMT_HEAD_LEN + 1);
	if (!s)
		return -ENOMEM;
	sio_start(s, SIO_PATIENT);
	err = sio_wait(s);
	if (!err)
		err = s->res < 0 ? (int)s->res :
				   fmt_head_open(ret, s->body, s->res, v->uuid, version,
						 keys_get(v->kr, KEYS_HEAD));
	if (err == -EBADMSG)
		notice_say(&v->env, NOTICE_ERR, "object %s: damaged, or not of this volume", name);
	else if (err == -EPROTONOSUPPORT)
		notice_say(&v->env, NOTICE_ERR, "object %s: made by a later version", name);
	sio_drop(s);
	return err;
}
