// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/jread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "volume/fetch.h"
#include "volume/journal.h"
#include "volume/keys.h"
#include "volume/vol.h"

uint64_t jread_memory(uint32_t len)
{
	return sizeof(struct jread) + FMT_JOURNAL_MAX_OPS * sizeof(struct fmt_journal_op) +
	       2ull * len;
}

static void finish(struct jread *r)
{
	struct volume *v = r->v;

	v->fetch_bytes -= jread_memory(r->req.len);
	r->done(r);
	free(r->ops);
	free(r->payload);
	free(r->req.buf);
	free(r);
	fetch_pump(v); /* others have waited for the memory */
}

static void run(struct exec_work *w)
{
	struct jread *r = container_of(w, struct jread, work);
	r->err = fmt_journal_open(&r->rec, r->ops, r->payload, r->req.buf, r->req.len, r->v->uuid,
				  r->journal, r->pos, keys_get(r->v->kr, KEYS_JOURNAL));
	if (!r->err && r->run)
		r->run(r);
}

static void complete(struct exec_work *w)
{
	finish(container_of(w, struct jread, work));
}

static void on_read(struct jdev_req *req)
{
	struct jread *r = req->priv;

	r->err = req->res;
	if (r->err) {
		finish(r);
		return;
	}
	r->work.run = run;
	r->work.complete = complete;
	exec_submit(r->v->env.exec, &r->work);
}

int jread_start(struct volume *v, uint64_t pos, uint32_t len, void (*run_fn)(struct jread *r),
		void (*done)(struct jread *r), void *priv)
{
	struct journal *j = v->journal;
	struct jread *r = calloc(1, sizeof(*r));
	void *p = NULL;

	if (r) {
		r->ops = malloc(FMT_JOURNAL_MAX_OPS * sizeof(*r->ops));
		r->payload = malloc(len);
	}
	/* all of it now: later there would be somebody to tell that it cannot be read */
	if (!r || !r->ops || !r->payload || posix_memalign(&p, JDEV_BLOCK, len)) {
		if (r) {
			free(r->ops);
			free(r->payload);
		}
		free(r);
		return -ENOMEM;
	}
	r->v = v;
	r->pos = pos;
	memcpy(r->journal, j->sb.journal, sizeof(r->journal));
	r->run = run_fn;
	r->done = done;
	r->priv = priv;
	r->req = (struct jdev_req){
		.op = JDEV_READ,
		.off = FMT_JOURNAL_RING_OFF + pos % j->ring_len,
		.buf = p,
		.len = len,
		.done = on_read,
		.priv = r,
	};
	v->fetch_bytes += jread_memory(len);
	fetch_trim(v);
	jdev_submit(j->dev, &r->req);
	return 0;
}
