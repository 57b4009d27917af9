/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope-bound release: CLEANUP(free_ptr) char *s = NULL; frees *s at the end of the scope. Never
 * together with goto unwinding of the same thing.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(f)	__attribute__((cleanup(cleanup_##f)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define CLEANUP_FREE	CLEANUP(free)
#define CLEANUP_CLOSE	CLEANUP(close)

#endif
