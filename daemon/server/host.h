/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: the world that a volume lives in: core lock, worker threads, store, clock, state folder,
 * and the thread that calls volume_tick() when it is due. Everything that works on a volume has
 * one, for a moment (format, key) or for long (serve).
 */
#ifndef SERVER_HOST_H
#define SERVER_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core.h"
#include "base/disk.h"
#include "volume/volume.h"

struct disk_dir;
struct jdev;
struct stat_counters;
struct store;
struct workq;

#define HOST_ERR_LEN	512
#define HOST_NOTICE_LEN 256
#define HOST_NOTICES	16u

/* One line that the volume had to say. */
struct host_notice {
	uint64_t real_us;
	int level; /* enum log_level */
	bool said; /* it is in the log */
	char text[HOST_NOTICE_LEN];
};

/**
 * struct host - fields are for reading; what is guarded by the core lock says so
 * @core:	the core lock
 * @env:	for the volume's functions
 * @store:	counts what it is asked
 * @stop:	set: every wait of the volume ends with -EINTR (core lock)
 * @talk:	notices go to the log at once; else only warnings do, and the others are kept until
 *		host_talk(): an error becomes the one line that the process ends with (core lock)
 * @last_error:	the last notice of level error, "" if none (core lock)
 * @state_rc:	how the last access to the state folder ended (core lock)
 */
struct host {
	struct core core;
	struct volume_env env;
	struct workq *workq;
	struct store *store;
	struct disk_dir *dir;
	struct disk state; /* what the volume sees of @dir */
	char *state_dir;
	int state_rc;
	struct jdev *journal;
	struct volume *volume; /* whose deadline the timer follows; core lock */
	void (*post_buf)(void *ctx, uint32_t id, uint64_t off, uint32_t len);
	void *post_buf_ctx;
	void (*superseded)(void *ctx);
	void *superseded_ctx;

	bool stop;
	bool talk;
	char last_error[HOST_NOTICE_LEN];
	struct host_notice notices[HOST_NOTICES]; /* a ring; core lock */
	uint32_t nr_notices; /* ever */
	char url[512]; /* for messages */

	pthread_t timer;
	pthread_cond_t timer_cond;
	bool timer_runs;
	bool timer_stop; /* core lock */
	uint64_t timer_floor; /* no tick before; core lock */
	uint64_t timer_at; /* when the timer wakes by itself; core lock */
};

#define HOST_CREATE (1u << 0) /* make the store's folder */

/*
 * Opens the store at @url and starts @workers threads (0: one a CPU, 4 at most). 0, or -errno and
 * one sentence in @err (HOST_ERR_LEN bytes).
 */
int host_new(struct host **ret, const char *url, unsigned int flags, unsigned int workers,
	     char *err);

/*
 * Opens the state folder @path, made if missing, and locks it. 0; -EBUSY: another process serves
 * this volume; -errno; one sentence in @err.
 */
int host_open_state(struct host *h, const char *path, char *err);

/*
 * Opens the journal at @path, for this process alone. 0, or -errno and one sentence in @err.
 * Without the core lock.
 */
int host_open_journal(struct host *h, const char *path, char *err);

/*
 * Serves from @s in place of the store at the URL, which is closed; @s is the host's from here on.
 * Before anything has been asked of the store. 0, or -ENOMEM, and @s is still the caller's. Without
 * the core lock.
 */
int host_set_store(struct host *h, struct store *s);

/* Who is told of volume_env.post_buf and .superseded, core lock held. Before there is a volume. */
void host_on_post_buf(struct host *h,
		      void (*fn)(void *ctx, uint32_t id, uint64_t off, uint32_t len), void *ctx);
void host_on_superseded(struct host *h, void (*fn)(void *ctx), void *ctx);

/* Starts the timer for @v. 0 or -errno. Without the core lock. */
int host_start_timer(struct host *h, struct volume *v);

/* From here on notices go to the log, those kept until now first. Without the core lock. */
void host_talk(struct host *h);

/* Ends all waits with -EINTR, now and later. Core lock held. */
void host_interrupt(struct host *h);

/* Ends the timer: what waits for a time is not done any more. Without the core lock. */
void host_stop_timer(struct host *h);

/* Waits until nothing is under way in store, journal and workers, 0, or -EINTR. Core lock held. */
int host_settle(struct host *h);

/*
 * Ends timer, workers and the store's threads: nobody is in a callback or a kick any more. Nothing
 * may be under way. Then the volume may be freed. Without the core lock.
 */
void host_stop_threads(struct host *h);

/* Frees all; host_stop_threads() first, if anything had begun. NULL does nothing. */
void host_free(struct host *h);

/*
 * One sentence, in @err (HOST_ERR_LEN bytes), for an error that a function of the volume or the
 * keyring returned: what is wrong with the volume at the host's URL, or with the state folder, and
 * what to do. Without the core lock.
 */
void host_explain(struct host *h, int rc, char *err);

#endif
