// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/worker.h"

#include "volume/codec.h"
#include "volume/vol.h"

#define KEPT_FOR_READS 2u

static struct codec *get(struct volume *v, unsigned int limit)
{
	struct codec *c;

	if (v->codecs_out >= limit)
		return NULL;
	if (v->nr_codecs)
		c = v->codecs[--v->nr_codecs];
	else
		c = codec_new();
	if (c)
		v->codecs_out++;
	else if (!v->codecs_out)
		volume_retry(v); /* nobody's end will start us again */
	return c;
}

static void run(struct exec_work *w)
{
	struct worker_job *j = container_of(w, struct worker_job, work);

	j->run(j);
}

static void complete(struct exec_work *w)
{
	struct worker_job *j = container_of(w, struct worker_job, work);
	struct volume *v = j->v;

	v->codecs_out--;
	v->codecs[v->nr_codecs++] = j->codec;
	j->codec = NULL;
	j->complete(j);
	worker_pump(v);
}

static void pump(struct volume *v, struct list_head *list, unsigned int limit)
{
	while (!list_empty(list)) {
		struct worker_job *j = list_first_entry(list, struct worker_job, link);

		j->codec = get(v, limit);
		if (!j->codec)
			return;
		list_del(&j->link);
		exec_submit(v->env.exec, &j->work);
	}
}

void worker_pump(struct volume *v)
{
	pump(v, &v->decodes, VOL_CODECS);
	pump(v, &v->encodes, VOL_CODECS - KEPT_FOR_READS);
}

static void queue(struct volume *v, struct worker_job *j, struct list_head *list)
{
	j->v = v;
	j->work.run = run;
	j->work.complete = complete;
	list_add_tail(&j->link, list);
	worker_pump(v);
}

void worker_decode(struct volume *v, struct worker_job *j)
{
	queue(v, j, &v->decodes);
}

void worker_encode(struct volume *v, struct worker_job *j)
{
	queue(v, j, &v->encodes);
}
