// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Reads digits from *@s and moves it on. */
static int digits(const char **s, uint64_t *ret)
{
	uint64_t v = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		unsigned int d = (unsigned int)(**s - '0');

		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	*ret = v;
	return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int rc = digits(&s, &v);

	if (rc)
		return rc;
	if (*s)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGTPE";
	unsigned int shift = 0;
	uint64_t v;
	int rc = digits(&s, &v);

	if (rc)
		return rc;
	if (*s) {
		char c = *s >= 'a' ? (char)(*s - 'a' + 'A') : *s;
		const char *u = strchr(units, c);

		if (!u)
			return -EINVAL;
		shift = 10 * (unsigned int)(u - units + 1);
		s++;
		if (*s && strcmp(s, "i") && strcmp(s, "iB"))
			return -EINVAL;
	}
	if (v > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*ret = v << shift;
	return 0;
}

int parse_ms(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	uint64_t v;
	int rc = digits(&s, &v);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(s, units[i].unit))
			continue;
		if (v > INT64_MAX / units[i].ms)
			return -ERANGE;
		*ret = v * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

char *parse_size_str(char *out, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	unsigned int shift = 10, u = 0;
	double v;

	if (bytes < 1024) {
		snprintf(out, PARSE_SIZE_STR, "%u B", (unsigned int)bytes);
		return out;
	}
	/* 1023.96 KiB would print as 1024.0 KiB: the next unit then. */
	while (u + 1 < sizeof(units) - 1 && (double)bytes / (double)(1ull << shift) >= 1023.95) {
		shift += 10;
		u++;
	}
	v = (double)bytes / (double)(1ull << shift);
	snprintf(out, PARSE_SIZE_STR, "%.*f %ciB", v < 99.95 ? 1 : 0, v, units[u]);
	return out;
}
