/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct exec without threads: work runs when the test or simulator says so. */
#ifndef BASE_INLINE_H
#define BASE_INLINE_H

#include <stdbool.h>

#include "base/exec.h"

struct inline_exec {
	struct exec exec;
	struct list_head queue;
};

void inline_init(struct inline_exec *ie);

/* Runs the oldest piece of work, run() and complete(). False: there is none. */
bool inline_run(struct inline_exec *ie);

#endif
