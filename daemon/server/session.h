/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session: a volume bound to the kernel: the open control device, the arena, the devices and their
 * queues.
 *
 *	session_open -> session_attach -> session_begin -> volume_recover -> session_up -> ...
 *	-> session_quiesce -> session_free
 *
 * One thread calls these (the server's main thread), without the core lock; the module may sleep in
 * any of them.
 */
#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core.h"
#include "server/region.h"
#include "transport/kdev.h"
#include "transport/ring.h"
#include "transport/sink.h"
#include "volume/volume.h"

struct host;

/* What the devices get that this daemon adds. */
struct session_conf {
	uint32_t grace_ms;
	uint32_t write_queues;
	uint32_t read_queues;
	uint32_t depth;
};

struct session_dev {
	uint32_t id; /* of the log */
	uint32_t index; /* N of /dev/zerofsN */
	uint32_t write_queues;
	uint32_t read_queues;
	char name[VOLUME_NAME_LEN];
	uint64_t size;
	bool ro;
	uint32_t first_write; /* numbers of its queues: see io_req.queue */
	uint32_t first_read;
	bool known; /* the module has it */
	bool opened; /* its queues are open */
	bool started;
};

/**
 * struct session - fields are for reading
 * @attached:	the session was there before this daemon
 * @info:	of the attach
 * @bound:	session_attach() is through (core lock)
 * @volume:	set once it has its arena (core lock)
 * @lost:	the module says CACHE_LOST (core lock)
 * @live_rings:	queues whose thread runs (core lock)
 * @broken:	a queue ended because the two sides do not understand each other (core lock)
 * @changed:	called with the core lock held when one of the last two has changed
 * @up:		session_up() is through: devs[], rings[] and kd do not change any more but for
 *		devs[].known (core lock)
 */
struct session {
	struct host *host;
	struct session_conf conf;
	struct kdev kd;
	struct volume *volume;
	struct region region;
	uint64_t data_off;
	bool attached;
	bool bound;
	struct zerofs_attach info;

	struct sink sink;
	struct core_kick kick; /* BUFs were posted while a write waited */
	struct session_dev devs[VOLUME_MAX_DEVS];
	uint32_t nr_devs;
	struct ring **rings;
	uint32_t nr_rings;

	bool up;
	bool lost;
	bool broken;
	bool posting;
	uint32_t live_rings;
	uint64_t posts_refused;
	void (*changed)(void *ctx);
	void *ctx;
};

/*
 * Opens the control device. 0, or -errno and one sentence in @err (HOST_ERR_LEN bytes), as all
 * below.
 */
int session_open(struct session *s, struct host *h, const struct session_conf *conf, char *err);

/*
 * CREATE, or ATTACH if the module knows the volume. From here on the module holds I/O for this
 * daemon. -EBUSY: it is being served.
 */
int session_attach(struct session *s, const uint8_t uuid[16], const char *name, char *err);

/*
 * The arena: an earlier daemon's if it can be adopted, else a fresh one; hands it to @v and
 * registers it.
 */
int session_begin(struct session *s, struct volume *v, const struct volume_opts *opts, char *err);

/*
 * After volume_recover(): makes or finds the devices, opens their queues, posts write extents,
 * tells the module whether what was acknowledged is there, starts the queues' threads and the
 * disks. On failure removes the devices it has made.
 */
int session_up(struct session *s, const struct volume_recovery *rec, char *err);

/*
 * Makes a device read-only or writable until it is removed. @device: its name, id or node. Any
 * thread, after session_up(). -ENODEV: there is none, or it is gone; -errno of the module.
 */
int session_set_ro(struct session *s, const char *device, bool on);

/* How many of the devices somebody has open. */
uint32_t session_openers(struct session *s);

/* Removes the devices that nobody has open, all of them with @force. 0, or the first error. */
int session_remove(struct session *s, bool force, char *err);

/*
 * Stops taking requests, waits until what was taken is answered and the module has read the
 * answers. -EINTR: told to hurry (host_interrupt()).
 */
int session_quiesce(struct session *s);

/*
 * Closes all: the daemon's death as far as the module is concerned. After session_quiesce() and
 * host_stop_threads().
 */
void session_free(struct session *s);

#endif
