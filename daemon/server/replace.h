/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace: upgrade in place. The new daemon asks the one that serves to write what it has to the
 * store and to let go; devices and I/O stay with the module meanwhile.
 *
 * The old one writes everything first, while it serves; until REPLACE_ASK_US are over it may still
 * refuse, and goes on. Then it takes no further requests; for what came since it has
 * REPLACE_DRAIN_US, and lets go in any case: what is not in the store is in memory, for the new
 * one.
 */
#ifndef SERVER_REPLACE_H
#define SERVER_REPLACE_H

#include <stdint.h>

#define REPLACE_ASK_US	    20000000ull
#define REPLACE_DRAIN_US    10000000ull
#define REPLACE_PATIENCE_MS 35000u /* of the new one: longer than both together */

/*
 * Asks the daemon of volume @name, listening in folder @dir. 0: it has let go, or is about to end,
 * or there is none (*@ret_asked = 0); -errno and one sentence in @err (HOST_ERR_LEN bytes): it goes
 * on serving, nothing was changed.
 */
int replace_ask(const char *dir, const char *name, const char *uuid, uint64_t now_us,
		unsigned int patience_ms, int *ret_asked, char *err);

#endif
