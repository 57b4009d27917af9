/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local disk by vtable: small named files in the volume's state folder, each replaced
 * atomically. Synchronous; used at attach, once per head and now and then, never on the I/O path.
 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include <stddef.h>
#include <sys/types.h>

struct disk_ops;

struct disk {
	const struct disk_ops *ops;
	const char *where;		/* the folder, for messages; NULL: not said */
};

struct disk_ops {
	/* Reads up to @len bytes of file @name. Returns the file's length or -errno (-ENOENT). */
	ssize_t (*read)(struct disk *d, const char *name, void *buf, size_t len);
	/* Makes @name hold exactly @len bytes, durable on return. 0 or -errno. */
	int (*replace)(struct disk *d, const char *name, const void *buf, size_t len);
};

#endif
