// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/inline.h"

static void submit(struct exec *e, struct exec_work *w)
{
	struct inline_exec *ie = container_of(e, struct inline_exec, exec);

	list_add_tail(&w->link, &ie->queue);
}

void inline_init(struct inline_exec *ie)
{
	static const struct exec_ops ops = { .submit = submit };

	ie->exec.ops = &ops;
	list_init(&ie->queue);
}

bool inline_run(struct inline_exec *ie)
{
	struct exec_work *w;

	if (list_empty(&ie->queue))
		return false;
	w = list_first_entry(&ie->queue, struct exec_work, link);
	list_del(&w->link);
	w->run(w);
	w->complete(w);
	return true;
}
