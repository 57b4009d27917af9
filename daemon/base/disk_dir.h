/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct disk over a folder. */
#ifndef BASE_DISK_DIR_H
#define BASE_DISK_DIR_H

#include "base/disk.h"

struct disk_dir;

/*
 * Opens folder @path, making it (mode 0700) and its missing parents first. Names given to the disk
 * match [A-Za-z0-9._-]+ and do not begin with '.'. A file is replaced by writing ".NAME.tmp",
 * fsync, rename, fsync of the folder.
 * -errno.
 */
int disk_dir_open(struct disk_dir **ret, const char *path);

struct disk *disk_dir_disk(struct disk_dir *d);

/*
 * Takes an exclusive lock on the folder, held until close or the process's death. -EBUSY: another
 * process has it; *@ret_pid is then its pid, 0 = not known (@ret_pid may be NULL).
 */
int disk_dir_lock(struct disk_dir *d, int *ret_pid);

void disk_dir_close(struct disk_dir *d);	/* NULL does nothing */

#endif
