/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little-endian integers as they lie on media: byte arrays, so that a struct made of them has no
 * padding and no alignment, and a plain load of one does not compile.
 */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[2]; } le16;
typedef struct { uint8_t b[4]; } le32;
typedef struct { uint8_t b[8]; } le64;

static inline uint16_t le_get16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t le_get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t le_get64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline le16 le_16(uint16_t v)
{
	le16 r;

	v = htole16(v);
	memcpy(r.b, &v, sizeof(v));
	return r;
}

static inline le32 le_32(uint32_t v)
{
	le32 r;

	v = htole32(v);
	memcpy(r.b, &v, sizeof(v));
	return r;
}

static inline le64 le_64(uint64_t v)
{
	le64 r;

	v = htole64(v);
	memcpy(r.b, &v, sizeof(v));
	return r;
}

static inline uint16_t le_cpu16(le16 v) { return le_get16(v.b); }
static inline uint32_t le_cpu32(le32 v) { return le_get32(v.b); }
static inline uint64_t le_cpu64(le64 v) { return le_get64(v.b); }

#endif
