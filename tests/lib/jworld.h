/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A world of one device with a journal, and its history. */
#ifndef JWORLD_H
#define JWORLD_H

#include <stdint.h>

#include "lib/model.h"
#include "lib/vol.h"

#define JWORLD_SIZE	(64u << 20)	/* of the journal: the least */

struct jworld {
	struct vol w;
	struct model m;
};

/* Formatted and attached, RUN_BLOCKS large, flushes answered by the journal. */
void jworld_begin(struct jworld *t, uint64_t seed);
void jworld_begin_sized(struct jworld *t, uint64_t seed, uint64_t size);
void jworld_end(struct jworld *t);

/* The model's next operation, written and answered. */
void jworld_write(struct jworld *t, uint64_t lba, uint32_t n);

/* Segments do not get to the store; they do again. */
void jworld_hold(struct vol *w);
void jworld_let(struct vol *w);

#endif
