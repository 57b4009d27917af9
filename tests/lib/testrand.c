// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/testrand.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

/* splitmix64 */
uint64_t testrand_u64(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t testrand_state(void)
{
	return state;
}

uint64_t testrand_below(uint64_t n)
{
	return testrand_u64() % n;
}

static const char *name(void)
{
	return "test";
}

static uint32_t random32(void)
{
	return (uint32_t)testrand_u64();
}

static void fill(void *const buf, const size_t size)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)testrand_u64();
}

void testrand_seed(uint64_t seed)
{
	static randombytes_implementation impl = {
		.implementation_name = name,
		.random = random32,
		.buf = fill,
	};

	if (sodium_init() < 0)
		abort();
	state = seed;
	randombytes_set_implementation(&impl);
}

static uint32_t system32(void)
{
	return randombytes_sysrandom_implementation.random();
}

static void system_fill(void *const buf, const size_t size)
{
	randombytes_sysrandom_implementation.buf(buf, size);
}

static uint32_t lowest(const uint32_t n)
{
	(void)n;
	return 0;
}

void testrand_lowest(void)
{
	static randombytes_implementation impl = {
		.implementation_name = name,
		.random = system32,
		.uniform = lowest,
		.buf = system_fill,
	};

	if (sodium_init() < 0)
		abort();
	randombytes_set_implementation(&impl);
}

void testrand_system(void)
{
	randombytes_set_implementation(&randombytes_sysrandom_implementation);
}
