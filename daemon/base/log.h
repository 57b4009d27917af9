/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: one line per event to standard error, with level and time; below a level nothing. Any
 * thread. Only server/ and cmd/ log; lower layers return errors, and the core speaks through
 * volume_env.notice.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>

enum log_level {
	LOG_LEVEL_ERR	= 0,	/* something is broken and somebody has to act */
	LOG_LEVEL_WARN	= 1,	/* worth reading tomorrow */
	LOG_LEVEL_INFO	= 2,	/* a few lines per start and stop */
	LOG_LEVEL_DEBUG	= 3,
};

/* Lines above @level are dropped. Default LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/*
 * Whether lines begin with the time and level (default: yes unless standard error goes to the
 * journal).
 */
void log_set_stamp(int on);

/*
 * Also hands each line (without stamp and newline) to @hook, on the logging thread and outside the
 * log's lock; NULL = none. Set before the first thread starts.
 */
void log_set_hook(void (*hook)(void *ctx, int level, const char *line), void *ctx);

/* One line; a newline within becomes a space, more than 1000 bytes are cut. */
void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vmsg(int level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#define log_err(...)	log_msg(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)	log_msg(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)	log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
