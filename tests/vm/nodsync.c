// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LD_PRELOAD library: nothing is opened O_DSYNC (nor O_SYNC, which includes it). The control of the
 * journal's power cut: a daemon whose journal does not ask for durable writes must be found out.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN(name) \
	int name(const char *path, int flags, ...); \
	int name(const char *path, int flags, ...) \
	{ \
		va_list ap; \
		mode_t mode; \
\
		va_start(ap, flags); \
		mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0; \
		va_end(ap); \
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags & ~O_SYNC, mode); \
	}

OPEN(open)
OPEN(open64)
