/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hashing for tables in memory; never on media, never for keys an attacker chooses. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Mixes all bits of @v into all bits of the result (a bijection). */
static inline uint64_t hash_u64(uint64_t v)
{
	v ^= v >> 33;
	v *= 0xff51afd7ed558ccdull;
	v ^= v >> 33;
	v *= 0xc4ceb9fe1a85ec53ull;
	v ^= v >> 33;
	return v;
}

static inline uint64_t hash_2u64(uint64_t a, uint64_t b)
{
	return hash_u64(hash_u64(a) + 0x9e3779b97f4a7c15ull + b);
}

/* FNV-1a, mixed. */
uint64_t hash_bytes(const void *p, size_t len);

#endif
