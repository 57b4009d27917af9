// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The SSE4.2 instruction has a latency of 3 cycles and a throughput of 1: three streams over thirds
 * of a chunk keep it busy, and their sums are joined by shifting the first two over what follows
 * them. A shift over a fixed length is a linear map of 32 bits, kept as four tables of 256 words.
 */
#include "base/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/le.h"

#define POLY 0x82f63b78u /* 0x1edc6f41 reflected */

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

#ifdef __x86_64__
#include <nmmintrin.h>

#define THIRD 1024u /* bytes of one stream */

static uint32_t shift1[4][256]; /* over THIRD zero bytes */
static uint32_t shift2[4][256]; /* over 2 * THIRD zero bytes */
static bool have_sse42;

static uint32_t shift(const uint32_t t[4][256], uint32_t crc)
{
	return t[0][crc & 0xff] ^ t[1][crc >> 8 & 0xff] ^ t[2][crc >> 16 & 0xff] ^ t[3][crc >> 24];
}

static uint32_t over_zeros(uint32_t crc, size_t len)
{
	while (len--)
		crc = table[0][crc & 0xff] ^ crc >> 8;
	return crc;
}

/* The map is linear: the image of a byte is the XOR of the images of its bits. */
static void make_shift(uint32_t t[4][256], size_t len)
{
	for (unsigned int k = 0; k < 4; k++) {
		for (unsigned int bit = 0; bit < 8; bit++)
			t[k][1u << bit] = over_zeros(1u << (8 * k + bit), len);
		for (unsigned int i = 1; i < 256; i++)
			t[k][i] = t[k][i & (i - 1)] ^ t[k][i & -i];
	}
}

__attribute__((target("sse4.2"))) static uint32_t sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t a = crc, v;

	while (len >= 3 * THIRD) {
		uint64_t b = 0, c = 0;

		for (size_t i = 0; i < THIRD; i += 8) {
			memcpy(&v, p + i, 8);
			a = _mm_crc32_u64(a, v);
			memcpy(&v, p + THIRD + i, 8);
			b = _mm_crc32_u64(b, v);
			memcpy(&v, p + 2 * THIRD + i, 8);
			c = _mm_crc32_u64(c, v);
		}
		a = shift(shift2, (uint32_t)a) ^ shift(shift1, (uint32_t)b) ^ (uint32_t)c;
		p += 3 * THIRD;
		len -= 3 * THIRD;
	}
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&v, p, 8);
		a = _mm_crc32_u64(a, v);
	}
	crc = (uint32_t)a;
	while (len--)
		crc = _mm_crc32_u8(crc, *p++);
	return crc;
}
#endif

static void make_tables(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint32_t c = i;

		for (unsigned int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLY : c >> 1;
		table[0][i] = c;
	}
	for (unsigned int i = 0; i < 256; i++)
		for (unsigned int k = 1; k < 8; k++)
			table[k][i] = table[0][table[k - 1][i] & 0xff] ^ table[k - 1][i] >> 8;
#ifdef __x86_64__
	have_sse42 = __builtin_cpu_supports("sse4.2");
	make_shift(shift1, THIRD);
	make_shift(shift2, (size_t)2 * THIRD);
#endif
}

uint32_t crc32c_table(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	pthread_once(&once, make_tables);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t lo = le_get32(p) ^ crc, hi = le_get32(p + 4);

		crc = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^ table[5][lo >> 16 & 0xff] ^
		      table[4][lo >> 24] ^ table[3][hi & 0xff] ^ table[2][hi >> 8 & 0xff] ^
		      table[1][hi >> 16 & 0xff] ^ table[0][hi >> 24];
	}
	while (len--)
		crc = table[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
	pthread_once(&once, make_tables);
#ifdef __x86_64__
	if (have_sse42)
		return ~sse42(~crc, buf, len);
#endif
	return crc32c_table(crc, buf, len);
}
