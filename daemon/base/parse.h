/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict parsing of what a person types, and printing of the same. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, no sign, no blank. -EINVAL; -ERANGE: outside [@min, @max]. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/*
 * A size in bytes: digits, then nothing or one of K M G T P E (also lower case; also followed by
 * "iB" or "i"), powers of 1024. -EINVAL; -ERANGE: does not fit 63 bits.
 */
int parse_size(const char *s, uint64_t *ret);

/* A time in ms: digits, then ms, s, m or h ("2s"); plain digits are seconds. -EINVAL, -ERANGE. */
int parse_ms(const char *s, uint64_t *ret);

/* "1.5 GiB": at most 4 digits. @out: PARSE_SIZE_STR bytes. Returns @out. */
#define PARSE_SIZE_STR	16
char *parse_size_str(char *out, uint64_t bytes);

#endif
