/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A random run over a volume: a world, a model, and one random operation after the other. */
#ifndef RUN_H
#define RUN_H

#include <stdint.h>

#include "lib/model.h"
#include "lib/vol.h"

#define RUN_BLOCKS	3072u		/* of each device: three leaves of the map */

struct run {
	struct vol w;
	struct model m;
	uint32_t max_async;		/* requests under way at once */
};

/* Formats and attaches; options are drawn from the seed. */
void run_begin(struct run *r, uint64_t seed, uint32_t devs);
/* The same with a journal of @size bytes; 0: none. */
void run_begin_journal(struct run *r, uint64_t seed, uint32_t devs, uint64_t size);
void run_end(struct run *r);

/*
 * One random operation of the model's, submitted but not waited for; then perhaps a step of the
 * world.
 */
void run_op(struct run *r);

/* A FLUSH that covers all so far, not waited for. */
void run_flush(struct run *r);

/* @n, or as many seeds as the environment's SEEDS says. */
uint64_t run_seeds(uint64_t n);

#endif
