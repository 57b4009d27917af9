/* SPDX-License-Identifier: GPL-2.0-or-later */
/* secret: a passphrase or a key from a file, for whoever serves a volume. */
#ifndef SERVER_SECRET_H
#define SERVER_SECRET_H

#include <stddef.h>

#include "volume/keys.h"

#define SECRET_MAX (KEYS_KEYFILE_MAX + 1u) /* bytes of a buffer that any fits in */

/*
 * Reads @path into @buf (SECRET_MAX bytes, locked memory), which *@ret then names. A passphrase is
 * its first line, and "-" standard input. 0, or -errno (-EINVAL: it is none) and one sentence in
 * @err (@len bytes).
 */
int secret_read(struct keys_secret *ret, unsigned char *buf, const char *path,
		enum keys_secret_kind kind, char *err, size_t len);

#endif
