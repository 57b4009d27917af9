/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New keys while the volume is served: volume_rekey(). Invariant: a data key encrypts only after
 * the keys object that holds it was read from the store. Threads: core lock.
 */
#ifndef VOLUME_VOLUME_REKEY_H
#define VOLUME_VOLUME_REKEY_H

#include <stdbool.h>

struct volume;

/* Does a head have to be made because the newest one accepts older keys than this process has? */
bool volume_rekey_wants_head(const struct volume *v);

void volume_rekey_free(struct volume *v);

#endif
