/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LIST over a folder tree; for file.c. */
#ifndef STORE_FILE_LIST_H
#define STORE_FILE_LIST_H

#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

/*
 * Fills up to @max entries, in byte order, with the objects under @root_fd whose names begin with
 * @prefix and are greater than @after. Reads only folders that can hold such names. Files that are
 * not objects (names outside [0-9a-z]+, not regular) are passed over. Number of entries or -errno
 * (raw).
 */
ssize_t file_list(int root_fd, const char *prefix, const char *after, struct store_entry *ents,
		  uint32_t max);

#endif
