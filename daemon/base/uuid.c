// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/uuid.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

void uuid_random(uint8_t out[16])
{
	randombytes_buf(out, 16);
	out[6] = (out[6] & 0x0f) | 0x40;
	out[8] = (out[8] & 0x3f) | 0x80;
}

char *uuid_hex(char *out, const void *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = hex[b[i] >> 4];
		out[2 * i + 1] = hex[b[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

static bool dash_at(unsigned int i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

char *uuid_str(char out[UUID_STR_LEN], const uint8_t uuid[16])
{
	char hex[33];
	const char *h = uuid_hex(hex, uuid, 16);

	for (unsigned int i = 0; i < UUID_STR_LEN - 1; i++)
		out[i] = dash_at(i) ? '-' : *h++;
	out[UUID_STR_LEN - 1] = '\0';
	return out;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uuid_parse(const char *s, uint8_t out[16])
{
	uint8_t tmp[16] = { 0 };
	unsigned int n = 0;

	if (strnlen(s, UUID_STR_LEN) != UUID_STR_LEN - 1)
		return -EINVAL;
	for (unsigned int i = 0; i < UUID_STR_LEN - 1; i++) {
		int v = nibble(s[i]);

		if (dash_at(i)) {
			if (s[i] != '-')
				return -EINVAL;
			continue;
		}
		if (v < 0)
			return -EINVAL;
		tmp[n / 2] = (uint8_t)(tmp[n / 2] << 4 | v);
		n++;
	}
	memcpy(out, tmp, 16);
	return 0;
}

bool uuid_is_null(const uint8_t uuid[16])
{
	static const uint8_t zero[16];

	return !memcmp(uuid, zero, 16);
}
