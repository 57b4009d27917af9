/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A world for the core without threads: a store in memory (behind a fault layer), work that runs
 * when somebody waits, and a clock that goes on by a millisecond whenever it is looked at.
 */
#ifndef SMALLWORLD_H
#define SMALLWORLD_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/inline.h"
#include "volume/volume.h"

struct smallworld {
	struct volume_env env;
	struct clock clock;
	struct inline_exec exec;
	struct store *mem;
	struct store *fault;	/* over mem: env.store */
	uint64_t now_us;
	bool stop;		/* wait() gives up */
};

void smallworld_init(struct smallworld *w);

/* Runs all that is under way, then frees. */
void smallworld_end(struct smallworld *w);

/* One step: a store answer or a piece of work. False: nothing is under way. */
bool smallworld_step(struct smallworld *w);

/* The same store for another host: @w's objects as they are now, in a world of its own. */
void smallworld_clone(struct smallworld *w, const struct smallworld *from);

#endif
