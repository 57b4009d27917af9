// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/hash.h"

uint64_t hash_bytes(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3ull;
	return hash_u64(h);
}
