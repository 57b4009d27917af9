// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/spares.h"

#include <stdlib.h>

void *spares_take(struct spares *s)
{
	if (!s->nr)
		return NULL;
	s->nr--;
	s->bytes -= s->len[s->nr];
	return s->mem[s->nr];
}

void spares_give(struct spares *s, void *mem, size_t len)
{
	if (!mem || s->nr == SPARES_MAX) {
		free(mem);
		return;
	}
	s->mem[s->nr] = mem;
	s->len[s->nr++] = len;
	s->bytes += len;
}

void spares_shrink(struct spares *s, uint64_t bytes)
{
	while (s->bytes > bytes)
		free(spares_take(s));
}
