/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct exec over a fixed number of worker threads. */
#ifndef BASE_WORKQ_H
#define BASE_WORKQ_H

#include "base/exec.h"

struct core;
struct workq;

/*
 * Starts @nthreads (1..256) named @name; complete() runs under @core, which must outlive the queue.
 */
int workq_new(struct workq **ret, struct core *core, unsigned int nthreads, const char *name);

struct exec *workq_exec(struct workq *wq);

/* Work submitted whose complete() has not returned. Core lock held. */
unsigned int workq_pending(const struct workq *wq);

/*
 * Waits for all work under way and submitted, ends the threads, frees. NULL does nothing. Core lock
 * not held.
 */
void workq_free(struct workq *wq);

#endif
