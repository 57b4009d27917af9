/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where CPU-heavy work (compression, encryption, key derivation) runs. The core submits; an
 * implementation runs run() on a worker without the core lock, then complete() with the core
 * lock held. The inline one (tests, simulator) runs both later, from exec_inline_run().
 */
#ifndef BASE_EXEC_H
#define BASE_EXEC_H

#include "base/list.h"

struct exec_ops;

struct exec {
	const struct exec_ops *ops;
};

/* Embedded in the caller's object; the caller's again once complete() has been called. */
struct exec_work {
	struct list_head link;
	void (*run)(struct exec_work *w);	/* worker thread, no lock held */
	void (*complete)(struct exec_work *w);	/* core lock held */
};

struct exec_ops {
	void (*submit)(struct exec *e, struct exec_work *w);	/* core lock held; never blocks */
};

static inline void exec_submit(struct exec *e, struct exec_work *w)
{
	e->ops->submit(e, w);
}

#endif
