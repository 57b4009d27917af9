// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: one PUT, -EEXIST, while the head is looked for. Format makes the object, and asks
 * once more before anything else of the volume is there; so does the first attach to one that has
 * none. Failure modes: the second create, too, is accepted: the store
 * takes If-None-Match and does not apply it. A store that breaks S1 only when two race cannot be
 * told so.
 */
#include "volume/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt.h"
#include "format/fmt_name.h"
#include "volume/notice.h"
#include "volume/sio.h"
#include "volume/volume.h"

static void end(struct probe *p, int res)
{
	p->res = res;
	p->finished = true;
}

static void ask(struct probe *p);

static void on_put(struct sio *s)
{
	struct probe *p = s->priv;
	int res = (int)s->res;

	sio_drop(s);
	p->sio = NULL;
	if (res == -EEXIST)
		end(p, 0);
	else if (res)
		end(p, res);
	else if (++p->made < 2)
		ask(p);
	else
		end(p, -EOPNOTSUPP);
}

static void ask(struct probe *p)
{
	struct fmt_prefix *body = malloc(sizeof(*body));

	if (body) {
		fmt_prefix_init(body, FMT_KIND_PROBE, p->uuid);
		p->sio = sio_put(p->c, FMT_NAME_PROBE, body, sizeof(*body));
	}
	if (!p->sio) {
		end(p, -ENOMEM);
		return;
	}
	p->sio->done = on_put;
	p->sio->priv = p;
	sio_start(p->sio, p->tries);
}

void probe_start(struct probe *p, struct sio_ctx *c, const uint8_t uuid[16], bool no_fencing,
		 uint32_t tries)
{
	memset(p, 0, sizeof(*p));
	p->c = c;
	memcpy(p->uuid, uuid, sizeof(p->uuid));
	p->no_fencing = no_fencing;
	p->tries = tries;
	ask(p);
}

int probe_wait(struct probe *p)
{
	const struct volume_env *env = p->c->env;
	int err = p->finished ? 0 : env->wait(env->ctx, &p->finished);

	if (!p->finished)
		return err ? err : -EINTR;
	if (p->res != -EOPNOTSUPP)
		return p->res;
	if (!p->no_fencing) {
		notice_say(env, NOTICE_ERR, "the store lets a name be created twice");
		return p->res;
	}
	notice_say(env, NOTICE_WARN,
		   "the store lets a name be created twice: a second host that serves this volume "
		   "would destroy it, and nothing keeps it from that (--unsafe-no-fencing)");
	p->res = 0;
	return 0;
}

void probe_cancel(struct probe *p)
{
	sio_drop(p->sio);
	p->sio = NULL;
}
