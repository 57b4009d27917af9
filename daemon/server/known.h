/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * known: what this host knows of a volume without asking the store: the file `origin` in its state
 * folder says which URL it was served from. So a daemon can take a volume over from the kernel
 * while the store is away. Nothing else is decided by it: docs/DESIGN.md 3a.
 */
#ifndef SERVER_KNOWN_H
#define SERVER_KNOWN_H

#include <stdint.h>

#include "volume/volume.h"

struct disk;
struct kdev;

#define KNOWN_PATH_MAX 4096

/**
 * struct known - a volume
 * @dir:	its state folder
 */
struct known {
	uint8_t uuid[16];
	char name[VOLUME_NAME_LEN];
	char dir[KNOWN_PATH_MAX];
};

/*
 * Whether folder @dir is that of a volume that was last served from @url. 0 with uuid, name and
 * dir; -ENOENT: it is not, or does not say. Makes nothing.
 */
int known_read(const char *dir, const char *url, struct known *ret);

/* Remembers it in a state folder. 0 or -errno; -EINVAL: @url has a line break. */
int known_save(struct disk *d, const char *url, const uint8_t uuid[16], const char *name);

/*
 * Looks for a volume that the module has, that has no daemon, and that was last served from @url.
 * @state_dir: where to look, NULL = in @parent/UUID. 0, or -ENOENT: there is none. Without the core
 * lock.
 */
int known_find(struct kdev *kd, const char *url, const char *state_dir, const char *parent,
	       struct known *ret);

#endif
