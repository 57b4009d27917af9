/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store in a folder of a file system: one file per object. A PUT writes and fsyncs a temporary
 * file in ".tmp", link()s it to its name (which fails if the name is there: create-only) and fsyncs
 * the folders.
 */
#ifndef STORE_FILE_H
#define STORE_FILE_H

struct core;
struct store;

#define FILE_CREATE	(1u << 0)	/* make the folder if it is not there */

/*
 * Opens the store in folder @path (absolute) with @nthreads I/O threads (1..64); done() runs under
 * @core. Removes temporaries that no living process holds. -ENOENT: no such folder; -ENOTDIR,
 * -EACCES, -EROFS...
 */
int file_open(struct store **ret, const char *path, unsigned int flags, struct core *core,
	      unsigned int nthreads);

#endif
