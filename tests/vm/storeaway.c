// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LD_PRELOAD library: while the file that $STOREAWAY names exists, nothing can be opened below a
 * folder whose path has "/store/" in it: EIO, as of a store that is away.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_away(int dir)
{
	const char *flag = getenv("STOREAWAY");
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (dir < 0 || !flag || access(flag, F_OK))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return strstr(path, "/store/") && !strstr(path, "/.tmp");
}

static int open_at(int dir, const char *name, int flags, mode_t mode)
{
	/* Opening the store itself works. */
	if (strncmp(name, ".tmp", 4) != 0 && is_away(dir)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_openat, dir, name, flags, mode);
}

#define OPEN(name) \
	int name(int dir, const char *path, int flags, ...); \
	int name(int dir, const char *path, int flags, ...) \
	{ \
		va_list ap; \
		mode_t mode; \
\
		va_start(ap, flags); \
		mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0; \
		va_end(ap); \
		return open_at(dir, path, flags, mode); \
	}

OPEN(openat)
OPEN(openat64)

int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags)
{
	return open_at(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags)
{
	return open_at(dir, path, flags, 0);
}
