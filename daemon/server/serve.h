/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve: a daemon's life, from hardening the process to the last close.
 *
 * Threads:
 *	main		what follows below, one step after the other
 *	watcher		signals and the control socket; never waits for the store
 *	timer		volume_tick() when it is due (host)
 *	queues		one for each kernel queue (ring)
 *	workers, store	what the volume hands out; they end in a section under the core lock
 *
 * Lock order: core lock, then everything else (the work queue's lock, the store's, the log's). No
 * system call that may sleep in the module is made under the core lock.
 */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/session.h"
#include "volume/keys.h"
#include "volume/volume.h"

#define SERVE_OK	 0
#define SERVE_FAILED	 1
#define SERVE_SUPERSEDED 3 /* another host has taken the volume over */

#define SERVE_STATE_DIR	 "/var/lib/zerofs"

/**
 * struct serve_conf - what to serve and how
 * @url:	the store
 * @secret:	the caller wipes it when told to
 * @wipe:	called once the keys are open or refused
 * @state_dir:	NULL: SERVE_STATE_DIR/UUID
 * @journal:	file or partition of the journal; NULL: none
 * @replace:	if a daemon serves the volume here, ask it to let go first
 * @ready_fd:	gets a line when the volume is served, then is closed; -1: none
 */
struct serve_conf {
	const char *url;
	const struct keys_secret *secret;
	void (*wipe)(void *ctx);
	void *wipe_ctx;
	const char *state_dir;
	const char *journal;
	int ready_fd;
	bool replace;
	struct volume_opts volume;
	struct session_conf session;
};

/*
 * Serves until told to stop. Returns a SERVE_* exit status; when it is not SERVE_OK, @err
 * (HOST_ERR_LEN bytes) says why in one sentence. Called once, by the only thread.
 */
int serve_run(const struct serve_conf *conf, char *err);

#endif
