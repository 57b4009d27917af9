// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 1000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* keeps lines whole */
static int max_level = LOG_LEVEL_INFO;
static int stamp = -1; /* -1: not yet decided */
static void (*hook_fn)(void *ctx, int level, const char *line);
static void *hook_ctx;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&max_level, (int)level, __ATOMIC_RELAXED);
}

void log_set_stamp(int on)
{
	__atomic_store_n(&stamp, !!on, __ATOMIC_RELAXED);
}

void log_set_hook(void (*hook)(void *ctx, int level, const char *line), void *ctx)
{
	hook_fn = hook;
	hook_ctx = ctx;
}

/* systemd names the stream it connected standard error to; it adds time and level itself. */
static int want_stamp(void)
{
	int s = __atomic_load_n(&stamp, __ATOMIC_RELAXED);

	if (s < 0) {
		s = !getenv("JOURNAL_STREAM") || isatty(STDERR_FILENO);
		__atomic_store_n(&stamp, s, __ATOMIC_RELAXED);
	}
	return s;
}

static size_t put_stamp(char *out, size_t len, int level)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, len, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(out + n, len - n, ".%03ldZ %s: ", ts.tv_nsec / 1000000, names[level]);
	return n;
}

void log_vmsg(int level, const char *fmt, va_list ap)
{
	char text[LINE_MAX_LEN + 1], line[LINE_MAX_LEN + 64];
	size_t n = 0, len;

	if (level < LOG_LEVEL_ERR)
		level = LOG_LEVEL_ERR;
	if (level > LOG_LEVEL_DEBUG)
		level = LOG_LEVEL_DEBUG;
	if (level > __atomic_load_n(&max_level, __ATOMIC_RELAXED))
		return;
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';

	if (want_stamp())
		n = put_stamp(line, sizeof(line), level);
	else
		n = (size_t)snprintf(line, sizeof(line), "<%d>", level + 3);
	len = strlen(text);
	memcpy(line + n, text, len);
	line[n + len] = '\n';
	pthread_mutex_lock(&lock);
	for (size_t done = 0; done < n + len + 1;) {
		ssize_t rc = write(STDERR_FILENO, line + done, n + len + 1 - done);

		if (rc <= 0)
			break; /* nowhere to say so */
		done += (size_t)rc;
	}
	pthread_mutex_unlock(&lock);
	if (hook_fn)
		hook_fn(hook_ctx, level, text);
}

void log_msg(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(level, fmt, ap);
	va_end(ap);
}
