// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

void branch_init(struct branch *b, uint32_t nr_devs)
{
	memset(b, 0, sizeof(*b));
	model_init(&b->m, nr_devs, SIM_BLOCKS);
}

void branch_free(struct branch *b)
{
	if (b->m.b)
		model_free(&b->m);
	free(b->ids);
	memset(b, 0, sizeof(*b));
}

void branch_copy(struct branch *to, const struct branch *from)
{
	size_t i, n = (size_t)from->m.nr_devs * from->m.blocks;

	branch_free(to);
	branch_init(to, from->m.nr_devs);
	to->m.ops = from->m.ops;
	for (i = 0; i < n; i++) {
		const struct model_block *b = &from->m.b[i];

		if (!b->nr)
			continue;
		to->m.b[i] = (struct model_block){ .nr = b->nr, .cap = b->nr };
		to->m.b[i].ev = malloc(b->nr * sizeof(*b->ev));
		assert_non_null(to->m.b[i].ev);
		memcpy(to->m.b[i].ev, b->ev, b->nr * sizeof(*b->ev));
	}
	to->cap = from->m.ops + 1;
	to->ids = malloc(to->cap * sizeof(*to->ids));
	assert_non_null(to->ids);
	if (from->ids)
		memcpy(to->ids, from->ids, to->cap * sizeof(*to->ids));
}

void branch_cut(struct branch *b, uint32_t place)
{
	model_cut(&b->m, place);
}

uint32_t branch_op(struct sim *s, struct branch *b, uint32_t dev, uint64_t lba, uint32_t n,
		   bool data)
{
	uint32_t place = model_op(&b->m, dev, lba, n, data);

	if (place >= b->cap) {
		b->cap = 2 * place + 64;
		b->ids = realloc(b->ids, b->cap * sizeof(*b->ids));
		assert_non_null(b->ids);
	}
	b->ids[0] = 0;
	b->ids[place] = ++s->next_id;
	return s->next_id;
}

uint32_t branch_place(const struct branch *b, uint32_t id)
{
	uint32_t lo = 1, hi = b->m.ops + 1;

	if (!id)
		return 0;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (b->ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo <= b->m.ops && b->ids[lo] == id ? lo : ~0u;
}

uint32_t branch_last(const struct branch *b)
{
	return b->m.ops ? b->ids[b->m.ops] : 0;
}

uint32_t branch_prefix(const struct branch *b, const uint32_t *stamps, uint32_t min, uint32_t max)
{
	size_t i, n = (size_t)b->m.nr_devs * b->m.blocks;
	uint32_t *places = malloc(n * sizeof(*places)), found;

	assert_non_null(places);
	for (i = 0; i < n; i++)
		places[i] = stamps[i] == ~0u ? ~0u : branch_place(b, stamps[i]);
	found = model_prefix(&b->m, places, min, max);
	free(places);
	return found;
}

bool branch_held(const struct branch *b, uint32_t dev, uint64_t lba, uint32_t id, uint32_t from,
		 uint32_t to)
{
	const struct model_block *mb = &b->m.b[(size_t)dev * b->m.blocks + lba];
	uint32_t place = branch_place(b, id), i, holds = 0;

	if (place == ~0u)
		return false;
	for (i = 0; i <= mb->nr; i++) {
		uint32_t until = i < mb->nr ? mb->ev[i].op - 1 : ~0u;

		/* @holds stands from the event before up to @until */
		if (until >= from && holds == place)
			return true;
		if (until >= to)
			return false;
		if (i < mb->nr)
			holds = mb->ev[i].data ? mb->ev[i].op : 0;
	}
	return false;
}
