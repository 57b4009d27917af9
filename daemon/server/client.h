/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client: who waits for a detach at the other end of a control connection. A detach takes as long
 * as the store does; meanwhile the client is told what it waits for. One who has gone away may come
 * back, and others may join: each gets the answer.
 *
 * Threads: core lock.
 */
#ifndef SERVER_CLIENT_H
#define SERVER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "volume/volume.h"

#define CLIENT_LOOK_MS 200 /* from one client_look() to the next */
#define CLIENT_SLOW_US 3000000u /* without an error: say so after this long */

#define CLIENT_MAX 8u

struct client_peer {
	int conn;
	bool notes; /* it wants them */
	bool told_slow;
	int told_errno; /* what it believes the store's state to be */
	uint64_t since_us;
};

struct client {
	struct client_peer peers[CLIENT_MAX];
	uint32_t nr;
};

void client_init(struct client *c);

/* Somebody waits at @conn from now on. False: too many do, and @conn is still the caller's. */
bool client_take(struct client *c, int conn, bool notes, uint64_t now_us);

/* Whether somebody is there who wants to be told. */
bool client_waits(const struct client *c);

/* Whether all who waited have gone away. */
bool client_gone(const struct client *c);

/*
 * Sends a note if there is something new to tell: a store that fails, or works again, or is slow.
 */
void client_look(struct client *c, const struct volume_stats *st, uint64_t now_us);

/* A connection, now the caller's to answer; -1: nobody is left. */
int client_leave(struct client *c);

#endif
