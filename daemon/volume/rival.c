// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rival: see rival.h.
 *
 * Happy path: LIST, and the newest head is the newest of ours; nobody has taken the volume. A newer
 * one may be that of a checkpoint of our own that has not been told yet, so it is read and its
 * nonce tells. Failure modes: the store fails: sio.c tries for ever. A head that cannot be read
 * proves nothing.
 */
#include "volume/rival.h"

#include <errno.h>
#include <string.h>

#include "format/fmt_name.h"
#include "volume/head.h"
#include "volume/keys.h"
#include "volume/vol.h"

static int submit(struct rival *r, struct sio *s, void (*done)(struct sio *s))
{
	if (!s)
		return -ENOMEM;
	r->sio = s;
	s->done = done;
	s->priv = r;
	sio_start(s, SIO_FOR_EVER);
	return 0;
}

static void on_head(struct sio *s)
{
	struct rival *r = s->priv;
	struct volume *v = r->v;
	struct fmt_head h;
	int err = s->res < 0 ? (int)s->res :
			       fmt_head_open(&h, s->body, s->res, v->uuid, r->version,
					     keys_get(v->kr, KEYS_HEAD));

	rival_cancel(r);
	if (!err && memcmp(h.nonce, v->nonce, sizeof(h.nonce)))
		volume_superseded(v, "another head was made");
	r->done(r);
}

static void on_list(struct sio *s)
{
	struct rival *r = s->priv;
	struct volume *v = r->v;
	char name[FMT_NAME_MAX];

	r->version = s->res < 0 ? 0 : head_listed(s);
	rival_cancel(r);
	fmt_name_head(name, r->version);
	if (r->version <= v->head.version ||
	    submit(r, sio_get(&v->sio, name, 0, FMT_HEAD_LEN + 1), on_head))
		r->done(r);
}

int rival_look(struct rival *r)
{
	return submit(r, sio_list(&r->v->sio, FMT_PREFIX_HEAD, "", 1), on_list);
}

void rival_cancel(struct rival *r)
{
	sio_drop(r->sio);
	r->sio = NULL;
}
