/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report: what a daemon says of itself, as JSON: `status` for people and monitors, `stats` with
 * every counter.
 */
#ifndef SERVER_REPORT_H
#define SERVER_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct session;

/**
 * struct report_meta - what neither host nor session knows
 * @url:	as given to serve
 * @by:	who serves: "module" or "nbd"
 * @phase:	"starting", "recovering", "serving", "draining", "superseded"
 * @started_us:	wall clock
 * @flush_local: as asked for; the journal may have failed since
 * @store_errno:	why the keys cannot be read (positive), and since when (wall clock); 0 =
 *              	they can
 */
struct report_meta {
	const char *url;
	const char *name;
	const char *uuid;
	const char *by;
	const char *phase;
	uint64_t started_us;
	bool flush_local;
	int store_errno;
	uint64_t store_since_us;
};

/* In words, what a FLUSH promises. Any thread. */
const char *report_flush(bool local);

/* enum zerofs_state in the words that users see (LIVE, CACHE_LOST). Any thread. */
const char *report_state(uint32_t state);

/* What to tell a person about an outage of the store, "" for none. Any thread. */
const char *report_trouble(int err);

/*
 * A new object with "ok": true, or NULL. Core lock held. Before session_up() is through: nothing of
 * the devices, and of the volume what the store's trouble is.
 */
json_t *report_status(struct session *s, const struct report_meta *m);
json_t *report_stats(struct session *s, const struct report_meta *m);

#endif
