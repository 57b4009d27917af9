/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work that needs a codec: env->exec, with a bounded number of codecs. Decoding (somebody waits for
 * a READ) goes before encoding, and encoding never takes the last two. Threads: core lock; run()
 * without it.
 */
#ifndef VOLUME_WORKER_H
#define VOLUME_WORKER_H

#include "base/exec.h"

struct codec;
struct volume;

struct worker_job {
	struct exec_work work;
	struct list_head link;		/* while it waits for a codec */
	struct volume *v;
	struct codec *codec;		/* in run() only */
	void (*run)(struct worker_job *j);
	void (*complete)(struct worker_job *j);
};

/* run and complete are set. The job is the caller's again in complete(). */
void worker_decode(struct volume *v, struct worker_job *j);
void worker_encode(struct volume *v, struct worker_job *j);

/* Starts what waits. */
void worker_pump(struct volume *v);

#endif
