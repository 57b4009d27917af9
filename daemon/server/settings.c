// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "server/host.h"
#include "server/machine.h"

#define MEMORY	   (512ull << 20)
#define MIN_MEMORY (64ull << 20)
#define MAX_MEMORY (1ull << 40)
#define MIN_AHEAD  (128ull << 10)
#define MAX_AHEAD  (8ull << 20)
#define MAX_QUEUES 4u /* of each kind, unless told otherwise */

static int refuse(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, HOST_ERR_LEN, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int take_size(const char *opt, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		     char *err)
{
	char lo[PARSE_SIZE_STR], hi[PARSE_SIZE_STR];

	if (parse_size(text, ret) || *ret < min || *ret > max)
		return refuse(err, "--%s: '%s' is not a size from %s to %s", opt, text,
			      parse_size_str(lo, min), parse_size_str(hi, max));
	return 0;
}

static int take_number(const char *opt, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		       char *err)
{
	if (parse_u64(text, min, max, ret))
		return refuse(err, "--%s: '%s' is not a number from %lu to %lu", opt, text,
			      (unsigned long)min, (unsigned long)max);
	return 0;
}

static int take_segments(const struct settings_texts *t, struct volume_opts *ret, char *err)
{
	uint64_t n;
	int rc = 0;

	if (t->segment_size) {
		rc = take_size("segment-size", t->segment_size, 64u << 10, 64u << 20, &n, err);
		if (rc)
			return rc;
		ret->segment_bytes = (uint32_t)n;
	}
	if (t->segment_age) {
		if (parse_ms(t->segment_age, &n) || n < 10 || n > 3600000)
			return refuse(err, "--segment-age: '%s' is not a time from 10ms to 1h",
				      t->segment_age);
		ret->segment_age_ms = (uint32_t)n;
	}
	if (t->zstd_level) {
		rc = take_number("zstd-level", t->zstd_level, 0, 19, &n, err);
		if (!rc)
			ret->zstd_level = (int)n;
	}
	return rc;
}

static int take_read_ahead(const struct settings_texts *t, struct volume_opts *ret, char *err)
{
	uint64_t n;
	int rc;

	if (!t->read_ahead)
		return 0;
	rc = take_size("read-ahead", t->read_ahead, 0, MAX_AHEAD, &n, err);
	if (!rc && n && n < MIN_AHEAD)
		rc = refuse(err, "--read-ahead: '%s' is neither 0 nor a size from 128K to 8M",
			    t->read_ahead);
	ret->read_ahead = (uint32_t)n;
	return rc;
}

static int take_flush(const struct settings_texts *t, struct volume_opts *ret, char *err)
{
	if (!t->flush || !strcmp(t->flush, "store"))
		return 0;
	if (strcmp(t->flush, "local") != 0)
		return refuse(err, "--flush: '%s' is neither 'store' nor 'local'", t->flush);
	if (!t->journal)
		return refuse(err, "--flush local needs a journal: --journal PATH; 'zerofs journal "
				   "create' makes one");
	ret->flush_local = true;
	return 0;
}

static int take_limits(const struct settings_texts *t, struct volume_opts *ret, char *err)
{
	uint64_t ms;

	if (t->max_dirty_age) {
		if (parse_ms(t->max_dirty_age, &ms) || ms < 100 || ms > 7 * 86400000ull)
			return refuse(err, "--max-dirty-age: '%s' is not a time from 100ms to 168h",
				      t->max_dirty_age);
		ret->max_dirty_age_ms = (uint32_t)ms;
	}
	return t->max_dirty_bytes ? take_size("max-dirty-bytes", t->max_dirty_bytes, 1u << 20,
					      1ull << 50, &ret->max_dirty_bytes, err) :
				    0;
}

int settings_take(const struct settings_texts *t, struct volume_opts *ret, char *err)
{
	uint64_t seconds = 0;
	int rc = 0;

	volume_opts_init(ret);
	ret->memory = MEMORY;
	if (t->memory)
		rc = take_size("memory", t->memory, MIN_MEMORY, MAX_MEMORY, &ret->memory, err);
	if (!rc)
		rc = take_segments(t, ret, err);
	if (!rc)
		rc = take_read_ahead(t, ret, err);
	if (!rc)
		rc = take_flush(t, ret, err);
	if (!rc)
		rc = take_limits(t, ret, err);
	if (!rc && t->stop_after)
		rc = take_number("stop-after", t->stop_after, 1, 86400, &seconds, err);
	ret->stop_after_ms = (uint32_t)seconds * 1000;
	machine_id(ret->host_id);
	machine_name(ret->host, sizeof(ret->host));
	return rc;
}

uint32_t settings_queues(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) / 2;

	return n < 1 ? 1 : n > (long)MAX_QUEUES ? MAX_QUEUES : (uint32_t)n;
}
