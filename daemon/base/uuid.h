/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UUIDs and hex. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_STR_LEN	37	/* with the NUL */

void uuid_random(uint8_t out[16]);			/* version 4 */
char *uuid_str(char out[UUID_STR_LEN], const uint8_t uuid[16]);	/* returns @out */
int uuid_parse(const char *s, uint8_t out[16]);		/* exactly 8-4-4-4-12 hex digits; -EINVAL */
bool uuid_is_null(const uint8_t uuid[16]);

/* @out: 2 * @len + 1 bytes. Returns @out. */
char *uuid_hex(char *out, const void *p, size_t len);

#endif
