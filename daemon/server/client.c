// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/client.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"
#include "server/control.h"
#include "server/report.h"

#define GOES_ON "; an interrupt (Ctrl-C) ends this wait, not the detach"

void client_init(struct client *c)
{
	*c = (struct client){ .conn = -1 };
}

void client_take(struct client *c, int conn, bool notes, uint64_t now_us)
{
	assert(c->conn < 0);
	*c = (struct client){ .conn = conn, .notes = notes, .since_us = now_us };
}

bool client_waits(const struct client *c)
{
	return c->conn >= 0 && c->notes;
}

void client_look(struct client *c, const struct volume_stats *st, uint64_t now_us)
{
	char text[256], size[PARSE_SIZE_STR];

	if (!client_waits(c))
		return;
	parse_size_str(size, st->dirty_bytes);
	if (st->store_errno && st->store_errno != c->told_errno)
		snprintf(text, sizeof(text),
			 "waiting for the store: %s, for %" PRIu64 " s now, %s not written yet%s",
			 report_trouble(st->store_errno), st->store_outage_us / 1000000, size,
			 GOES_ON);
	else if (!st->store_errno && c->told_errno)
		snprintf(text, sizeof(text), "the store works again; writing");
	else if (!st->store_errno && !c->told_slow && now_us - c->since_us >= CLIENT_SLOW_US)
		snprintf(text, sizeof(text), "writing to the store, %s to go%s", size, GOES_ON);
	else
		return;
	c->told_slow = true;
	c->told_errno = st->store_errno;
	control_note(c->conn, text);
}

int client_leave(struct client *c)
{
	int conn = c->conn;

	client_init(c);
	return conn;
}
