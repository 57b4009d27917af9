// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/model.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u

struct stamp {
	uint64_t magic;
	uint64_t lba;
	uint32_t op;
	uint32_t dev;
};

void model_init(struct model *m, uint32_t nr_devs, uint32_t blocks)
{
	m->nr_devs = nr_devs;
	m->blocks = blocks;
	m->ops = 0;
	m->b = calloc((size_t)nr_devs * blocks, sizeof(*m->b));
	if (!m->b)
		abort();
}

void model_free(struct model *m)
{
	size_t i;

	for (i = 0; i < (size_t)m->nr_devs * m->blocks; i++)
		free(m->b[i].ev);
	free(m->b);
	m->b = NULL;
}

static struct model_block *block(const struct model *m, uint32_t dev, uint64_t lba)
{
	return &m->b[(size_t)dev * m->blocks + lba];
}

uint32_t model_op(struct model *m, uint32_t dev, uint64_t lba, uint32_t n, bool data)
{
	uint32_t op = ++m->ops;

	for (; n; n--, lba++) {
		struct model_block *b = block(m, dev, lba);

		if (b->nr == b->cap) {
			b->cap = b->cap ? 2 * b->cap : 4;
			b->ev = realloc(b->ev, b->cap * sizeof(*b->ev));
			if (!b->ev)
				abort();
		}
		b->ev[b->nr++] = (struct model_event){ op, data };
	}
	return op;
}

void model_cut(struct model *m, uint32_t op)
{
	size_t i;

	for (i = 0; i < (size_t)m->nr_devs * m->blocks; i++) {
		struct model_block *b = &m->b[i];

		while (b->nr && b->ev[b->nr - 1].op > op)
			b->nr--;
	}
	m->ops = op;
}

void model_fill(uint8_t *p, uint32_t op, uint32_t dev, uint64_t lba)
{
	struct stamp s = { 0x7a65726f6d6f646cull, lba, op, dev };
	uint64_t x = op * 0x9e3779b97f4a7c15ull + dev * 77u + lba;
	size_t i;

	memcpy(p, &s, sizeof(s));
	for (i = sizeof(s); i < BLOCK; i += 8) {
		if (op & 1)
			x = x * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(p + i, &x, 8);
	}
}

uint32_t model_stamp(const uint8_t *p, uint32_t dev, uint64_t lba)
{
	static const uint8_t zeros[BLOCK];
	uint8_t want[BLOCK];
	struct stamp s;

	memcpy(&s, p, sizeof(s));
	if (!s.magic)
		return memcmp(p, zeros, sizeof(zeros)) ? ~0u : 0;
	if (s.dev != dev || s.lba != lba)
		return ~0u;
	model_fill(want, s.op, dev, lba);
	return memcmp(p, want, sizeof(want)) ? ~0u : s.op;
}

uint32_t model_now(const struct model *m, uint32_t dev, uint64_t lba)
{
	const struct model_block *b = block(m, dev, lba);

	return b->nr && b->ev[b->nr - 1].data ? b->ev[b->nr - 1].op : 0;
}

/* Adds 1 to every prefix length after which the block holds @stamp. */
static void count(const struct model_block *b, uint32_t stamp, uint32_t ops, int32_t *diff)
{
	uint32_t from = 0, i;
	uint32_t holds = 0;

	for (i = 0; i <= b->nr; i++) {
		uint32_t to = i < b->nr ? b->ev[i].op : ops + 1;

		if (holds == stamp) {
			diff[from]++;
			diff[to]--;
		}
		if (i < b->nr) {
			holds = b->ev[i].data ? b->ev[i].op : 0;
			from = to;
		}
	}
}

uint32_t model_prefix(const struct model *m, const uint32_t *stamps, uint32_t min, uint32_t max)
{
	size_t all = (size_t)m->nr_devs * m->blocks, i;
	int32_t *diff = calloc(m->ops + 3u, sizeof(*diff)), sum = 0;
	uint32_t found = ~0u, k;

	if (!diff)
		abort();
	for (i = 0; i < all; i++)
		count(&m->b[i], stamps[i], m->ops, diff);
	for (k = 0; k <= m->ops; k++) {
		sum += diff[k];
		if (k >= min && k <= max && (size_t)sum == all)
			found = k;
	}
	free(diff);
	return found;
}
