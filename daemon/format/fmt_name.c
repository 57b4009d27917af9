// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void fmt_name_seg(char *name, uint64_t seq)
{
	snprintf(name, FMT_NAME_MAX, FMT_PREFIX_SEG "%013" PRIx64 "/%03x", seq >> 12,
		 (unsigned int)(seq & 0xfff));
}

void fmt_name_gc(char *name, uint64_t seq)
{
	snprintf(name, FMT_NAME_MAX, FMT_PREFIX_GC "%013" PRIx64 "/%03x", seq >> 12,
		 (unsigned int)(seq & 0xfff));
}

void fmt_name_head(char *name, uint64_t version)
{
	snprintf(name, FMT_NAME_MAX, FMT_PREFIX_HEAD "%016" PRIx64, ~version);
}

void fmt_name_manifest(char *name, uint64_t version, uint64_t id)
{
	snprintf(name, FMT_NAME_MAX, FMT_PREFIX_MANIFEST "%016" PRIx64 "/%016" PRIx64, version, id);
}

void fmt_name_run(char *name, uint64_t version, uint64_t id)
{
	snprintf(name, FMT_NAME_MAX, FMT_PREFIX_RUN "%016" PRIx64 "/%016" PRIx64, version, id);
}

void fmt_name_keys(char *name, uint64_t version)
{
	snprintf(name, FMT_NAME_MAX, FMT_PREFIX_KEYS "%016" PRIx64, version);
}

/* Reads exactly @width lower-case hex digits followed by @end. */
static int hex(const char **s, unsigned int width, char end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < width; i++) {
		char c = (*s)[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned int)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (unsigned int)(c - 'a' + 10);
		else
			return -EINVAL;
	}
	if ((*s)[width] != end)
		return -EINVAL;
	*s += width + 1;
	*ret = v;
	return 0;
}

static int prefix(const char **s, const char *want)
{
	size_t n = strlen(want);

	if (strncmp(*s, want, n))
		return -EINVAL;
	*s += n;
	return 0;
}

static int parse_slot(const char *s, const char *want, uint64_t *ret)
{
	uint64_t hi, lo;

	if (prefix(&s, want) || hex(&s, 13, '/', &hi) || hex(&s, 3, '\0', &lo))
		return -EINVAL;
	*ret = hi << 12 | lo;
	return 0;
}

static int parse_version(const char *s, const char *want, uint64_t *ret)
{
	return prefix(&s, want) || hex(&s, 16, '\0', ret) ? -EINVAL : 0;
}

static int parse_pair(const char *s, const char *want, uint64_t *ret_version, uint64_t *ret_id)
{
	uint64_t version, id;

	if (prefix(&s, want) || hex(&s, 16, '/', &version) || hex(&s, 16, '\0', &id))
		return -EINVAL;
	*ret_version = version;
	*ret_id = id;
	return 0;
}

int fmt_name_parse_seg(const char *name, uint64_t *ret_seq)
{
	return parse_slot(name, FMT_PREFIX_SEG, ret_seq);
}

int fmt_name_parse_gc(const char *name, uint64_t *ret_seq)
{
	return parse_slot(name, FMT_PREFIX_GC, ret_seq);
}

int fmt_name_parse_head(const char *name, uint64_t *ret_version)
{
	uint64_t v;

	if (parse_version(name, FMT_PREFIX_HEAD, &v))
		return -EINVAL;
	*ret_version = ~v;
	return 0;
}

int fmt_name_parse_manifest(const char *name, uint64_t *ret_version, uint64_t *ret_id)
{
	return parse_pair(name, FMT_PREFIX_MANIFEST, ret_version, ret_id);
}

int fmt_name_parse_run(const char *name, uint64_t *ret_version, uint64_t *ret_id)
{
	return parse_pair(name, FMT_PREFIX_RUN, ret_version, ret_id);
}

int fmt_name_parse_keys(const char *name, uint64_t *ret_version)
{
	return parse_version(name, FMT_PREFIX_KEYS, ret_version);
}
