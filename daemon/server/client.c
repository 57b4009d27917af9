// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/parse.h"
#include "server/control.h"
#include "server/report.h"

#define GOES_ON "; an interrupt (Ctrl-C) ends this wait, not the detach"

void client_init(struct client *c)
{
	c->nr = 0;
}

/* Those who gave up do not take the place of those who wait. */
static void forget_gone(struct client *c)
{
	uint32_t i, n = 0;

	for (i = 0; i < c->nr; i++) {
		if (control_gone(c->peers[i].conn))
			close(c->peers[i].conn);
		else
			c->peers[n++] = c->peers[i];
	}
	c->nr = n;
}

bool client_take(struct client *c, int conn, bool notes, uint64_t now_us)
{
	if (c->nr == CLIENT_MAX)
		forget_gone(c);
	if (c->nr == CLIENT_MAX)
		return false;
	c->peers[c->nr++] =
		(struct client_peer){ .conn = conn, .notes = notes, .since_us = now_us };
	return true;
}

bool client_waits(const struct client *c)
{
	for (uint32_t i = 0; i < c->nr; i++)
		if (c->peers[i].notes)
			return true;
	return false;
}

bool client_gone(const struct client *c)
{
	for (uint32_t i = 0; i < c->nr; i++)
		if (!control_gone(c->peers[i].conn))
			return false;
	return true;
}

static void look(struct client_peer *p, const struct volume_stats *st, uint64_t now_us)
{
	char text[256], size[PARSE_SIZE_STR];

	parse_size_str(size, st->dirty_bytes);
	if (st->store_errno && st->store_errno != p->told_errno)
		snprintf(text, sizeof(text),
			 "waiting for the store: %s, for %" PRIu64 " s now, %s not written yet%s",
			 report_trouble(st->store_errno), st->store_outage_us / 1000000, size,
			 GOES_ON);
	else if (!st->store_errno && p->told_errno)
		snprintf(text, sizeof(text), "the store works again; writing");
	else if (!st->store_errno && !p->told_slow && now_us - p->since_us >= CLIENT_SLOW_US)
		snprintf(text, sizeof(text), "writing to the store, %s to go%s", size, GOES_ON);
	else
		return;
	p->told_slow = true;
	p->told_errno = st->store_errno;
	control_note(p->conn, text);
}

void client_look(struct client *c, const struct volume_stats *st, uint64_t now_us)
{
	for (uint32_t i = 0; i < c->nr; i++)
		if (c->peers[i].notes)
			look(&c->peers[i], st, now_us);
}

int client_leave(struct client *c)
{
	return c->nr ? c->peers[--c->nr].conn : -1;
}
