/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct serve: what serve.c and watch.c share. Only they include it. */
#ifndef SERVER_SERVE_PRIV_H
#define SERVER_SERVE_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "server/client.h"
#include "server/replace.h"
#include "server/report.h"
#include "server/serve.h"

enum serve_want {
	WANT_NOTHING,
	WANT_STOP, /* remove what nobody has open, leave the rest DETACHED */
	WANT_DETACH, /* remove all or refuse */
	WANT_DETACH_FORCE,
	WANT_REPLACE, /* leave all DETACHED, for the process that asks */
};

struct serve {
	const struct serve_conf *conf;
	struct host *host;
	struct session session;
	struct volume *volume;
	struct keyring *keys;
	struct control *control; /* the watcher reads it once the pipe has said so */
	char name[VOLUME_NAME_LEN];
	char uuid[UUID_STR_LEN];
	char journal[REPLACE_JOURNAL_LEN]; /* that is in use, "" = none; set before ready */
	struct report_meta meta; /* core lock */

	/* Guarded by the core lock. */
	enum serve_want want;
	bool keep; /* not everything is in the store: remove no device; main only */
	uint32_t left; /* devices that were open at the end; main only */
	struct client client; /* who asked for WANT_DETACH, or joined, or for WANT_REPLACE */
	uint64_t until_us; /* WANT_REPLACE: to be refused from then on (monotonic) */
	uint64_t hurry_us; /* all waits end then, ~0 = never */
	bool superseded;
	bool ready;
	pthread_cond_t event; /* one of the above, or of the session's, has changed */

	pthread_t watcher;
	bool watching;
	int lock_rc; /* of process_lock_memory() */
	int asked; /* a predecessor has been asked to let go */
	int sigfd;
	int wakefd; /* the watcher: look again, or end */
	bool watch_end; /* atomic */
};

/* The main thread looks again. Core lock held. */
void serve_wake(void *ctx);

#endif
