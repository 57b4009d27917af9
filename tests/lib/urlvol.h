/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * urlvol: a volume at a URL as a daemon serves it (store, workers, timer, a fresh arena), with
 * clients in this process; any number of them at once, each a host of its own. Asserts, with a line
 * that says where, when something fails that has nothing to do with the store.
 */
#ifndef URLVOL_H
#define URLVOL_H

#include <stdbool.h>
#include <stdint.h>

#include "server/host.h"
#include "server/region.h"
#include "transport/loop.h"
#include "transport/sink.h"
#include "volume/volume.h"

#define URLVOL_QUEUES 4u

#define urlvol_must(x) \
	do { \
		if (!(x)) \
			urlvol_failed(__FILE__, __LINE__, #x); \
	} while (0)

_Noreturn void urlvol_failed(const char *file, int line, const char *what);

struct urlvol_orphan;

struct urlvol {
	struct host *host;
	struct keyring *keys;
	struct volume *volume;
	struct region region;
	struct loop *loop;
	struct sink sink;
	struct volume_recovery rec;
	char err[HOST_ERR_LEN]; /* why urlvol_attach() failed */
	/* whoever waits for another host's take-over */
	pthread_t watcher;
	bool watched;
	pthread_cond_t event;
	bool superseded, ending; /* core lock */
	struct urlvol_orphan *orphans; /* requests that nobody waits for; core lock */
	int store_errno;
	uint64_t since_us;
};

/* Makes a volume with one device of @dev_size bytes. */
void urlvol_format(const char *url, uint64_t dev_size);

/*
 * Attaches, as the host whose state folder is @state_dir; one that names @o->host_id and asks for
 * takeover takes it from whoever has it. @clock: NULL is the system's; else it is all that store,
 * volume and timer know. 0; or -errno, and @u is to be forgotten.
 */
int urlvol_attach(struct urlvol *u, const char *url, const char *state_dir,
		  const struct volume_opts *o, struct clock *clock);

/*
 * One request, waited for, of a client of queue @queue (each one thread's at a time). 0, -errno;
 * -ESHUTDOWN: another host has taken the volume over.
 */
int urlvol_io(struct urlvol *u, uint32_t queue, enum io_op op, uint8_t flags, uint64_t lba,
	      uint32_t nblocks, void *data);

bool urlvol_superseded(struct urlvol *u);
struct volume_stats urlvol_stats(struct urlvol *u);

/*
 * @clean: writes everything to the store and detaches; 0, or -ESTALE if another host came first.
 * Otherwise the daemon dies: what is with the store by now may still get there, nothing else does.
 * No client is in a call. Frees all either way.
 */
int urlvol_end(struct urlvol *u, bool clean);

#endif
