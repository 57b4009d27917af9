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

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define REPLACE_ASK_US	    20000000ull
#define REPLACE_DRAIN_US    10000000ull
#define REPLACE_PATIENCE_MS 35000u /* of the new one: longer than both together */

#define REPLACE_JOURNAL_LEN 48

/**
 * struct replace_ask - what the new one asks the old one
 * @dir:	where daemons listen
 * @name, @uuid: the volume
 * @journal:	which one the new one will use, as replace_journal() calls it
 * @busy:	somebody has that in use
 * @abandon:	an open one is given up
 */
struct replace_ask {
	const char *dir, *name, *uuid;
	char journal[REPLACE_JOURNAL_LEN];
	bool busy;
	bool abandon;
};

/*
 * A name for the file or device at @path: the same for all paths to it. "": @path is NULL, or
 * nothing is there.
 */
void replace_journal(const char *path, char out[REPLACE_JOURNAL_LEN]);

/*
 * The old one, which uses journal @own (replace_journal(); @path for the message), reads @req:
 * NULL, or a refusal if the new one could not go on from its journal.
 */
json_t *replace_check_journal(const char *own, const char *path, const json_t *req);

/*
 * Asks. 0: it has let go, or is about to end, or there is none (*@ret_asked = 0); -errno and one
 * sentence in @err (HOST_ERR_LEN bytes): it goes on serving, nothing was changed.
 */
int replace_ask(const struct replace_ask *a, uint64_t now_us, unsigned int patience_ms,
		int *ret_asked, char *err);

#endif
