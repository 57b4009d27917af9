/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the devices of a volume may hold: the history of all operations in the order they were given
 * to it, and a checker that says whether what is read is the state after some prefix of that
 * history.
 *
 * Each block written carries the operation's number and its own address; zero stands for never
 * written or discarded.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model_event {
	uint32_t op;
	bool data;
};

struct model_block {
	struct model_event *ev;
	uint32_t nr, cap;
};

struct model {
	uint32_t nr_devs;
	uint32_t blocks;		/* of each device */
	uint32_t ops;			/* operations so far: 1, 2, ... ops */
	struct model_block *b;
};

void model_init(struct model *m, uint32_t nr_devs, uint32_t blocks);
void model_free(struct model *m);

/* Operation number m->ops + 1 writes (or zeroes) the range. Returns its number. */
uint32_t model_op(struct model *m, uint32_t dev, uint64_t lba, uint32_t n, bool data);

/* Forgets the operations after @op: they never happened, their numbers are free again. */
void model_cut(struct model *m, uint32_t op);

/* What operation @op writes to one block: 4096 bytes. Every other operation's compress well. */
void model_fill(uint8_t *p, uint32_t op, uint32_t dev, uint64_t lba);

/* The operation a block's bytes come from (0: zeros); ~0 if they are nobody's. */
uint32_t model_stamp(const uint8_t *p, uint32_t dev, uint64_t lba);

/* The operation whose data block (@dev, @lba) holds after all of the history; 0: zeros. */
uint32_t model_now(const struct model *m, uint32_t dev, uint64_t lba);

/*
 * @stamps: one per block of all devices, device by device. The longest prefix length in [@min,
 *          @max] after which the devices
 * hold just that, or ~0 if there is none.
 */
uint32_t model_prefix(const struct model *m, const uint32_t *stamps, uint32_t min, uint32_t max);

#endif
