/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume: one log of writes over one or more devices, in one store prefix. This is the engine's
 * core. It holds no thread, takes no lock, reads no clock of its own and calls no libc I/O:
 * everything comes through struct volume_env, so that the simulator runs what the daemon runs.
 *
 * Threads: every function here is called with the core lock held (the server's mutex; a simulator
 * has one thread and no lock), and every callback runs with it held. Functions marked [waits] call
 * env->wait(), which lets go of the lock while it waits.
 */
#ifndef VOLUME_VOLUME_H
#define VOLUME_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io.h"

struct clock;
struct disk;
struct exec;
struct jdev;
struct keyring;
struct store;
struct volume;

#define VOLUME_MAX_DEVS		256u
#define VOLUME_NAME_LEN		64
#define VOLUME_PUTS		16u	/* uploads of segments under way at once */

/**
 * struct volume_env - the world as the core sees it
 * @wait:	runs the world until *done is true. 0, or -EINTR when the world is to stop (the core
 *		then unwinds with that error and touches nothing of the pending requests again until
 *		they have completed).
 * @post_buf:	offers the write extent [off, off + len) of the arena's data region to the kernel
 * @superseded:	another writer owns the volume: nothing is acknowledged from here on
 * @notice:	a line for the log and for `status`; @level as in base/log.h
 */
struct volume_env {
	struct clock *clock;
	struct disk *disk;
	struct exec *exec;
	struct store *store;
	struct jdev *journal;		/* NULL: none */
	int (*wait)(void *ctx, const bool *done);
	void (*post_buf)(void *ctx, uint32_t id, uint64_t off, uint32_t len);
	void (*superseded)(void *ctx);
	void (*notice)(void *ctx, int level, const char *msg);
	void *ctx;
};

struct volume_opts {
	uint64_t memory;		/* bytes: arena, caches, buffers together */
	/* cut the open segment at about so many, stored (default 8 MiB) */
	uint32_t segment_bytes;
	uint32_t segment_age_ms;	/* ... or at this age (default 2000) */
	/* largest frame, 4 KiB..128 KiB, a power of two (default 32 KiB) */
	uint32_t frame_bytes;
	int zstd_level;			/* 0 = store raw, default 1 */
	uint32_t checkpoint_segments;	/* manifest every so many segments (default 64) */
	/* of all devices together (default 4): extents are planned for so many */
	uint32_t write_queues;
	/* largest window of a stream, in bytes (default 8 MiB, 0 = nothing is read ahead) */
	uint32_t read_ahead;
	/*
	 * a FLUSH returns when the journal has everything (env->journal must be there); else when
	 * the store has it
	 */
	bool flush_local;
	/*
	 * limits of what is acknowledged and not in the store, 0 = none: of bytes, above which
	 * WRITEs wait; of age, above which the journal answers no FLUSH
	 */
	uint64_t max_dirty_bytes;
	uint32_t max_dirty_age_ms;
	/* give up an open journal that the head names: this host's; another's */
	bool abandon_journal, accept_loss;
	char host[VOLUME_NAME_LEN];	/* of this machine, for messages and the head */
	/* serve from a store that cannot keep two hosts apart, too */
	bool no_fencing;
	/*
	 * of this machine; null: no lease is looked at or kept, and a journal is of the machine
	 * that is called as its own
	 */
	uint8_t host_id[16];
	bool takeover;			/* though another host has a fresh lease */
	/*
	 * so long after the last proof of ownership a FLUSH waits for the store, whatever else
	 * holds its data (0 = never): contact.h
	 */
	uint32_t stop_after_ms;
};

void volume_opts_init(struct volume_opts *o);

struct volume_dev {
	uint32_t id;			/* never reused */
	char name[VOLUME_NAME_LEN];
	uint64_t size;			/* bytes */
	bool ro;
};

/* ---- making one -------------------------------------------------------------------------- */

struct volume_format {
	uint8_t uuid[16];
	char name[VOLUME_NAME_LEN];
	uint32_t nr_devs;
	uint64_t dev_size;		/* bytes, each */
	bool no_fencing;		/* in a store that cannot keep two hosts apart, too */
};

/*
 * Writes manifest and head of an empty volume under keys that keyring_create() has made. The head
 * is the last object written: without it the prefix is not a volume. -EEXIST if there is one;
 * -EOPNOTSUPP: the store lets a name be created twice, and nothing but the keys is there. [waits]
 */
int volume_format(const struct volume_env *env, struct keyring *kr, const struct volume_format *f);

/* ---- serving one ------------------------------------------------------------------------- */

/*
 * What volume_new() would say of @o once the journal is there, if it asks for one: 0, -EINVAL, or
 * -ERANGE with a notice that names the least memory.
 */
int volume_opts_check(const struct volume_env *env, const struct volume_opts *o);

/* Allocates; no I/O. Refuses as volume_opts_check(). @kr must outlive the volume. */
int volume_new(struct volume **ret, const struct volume_env *env, struct keyring *kr,
	       const struct volume_opts *o);

/*
 * The arena is one memory file: [index | data region]. volume_arena_size() says how long it has to
 * be for @o and where its data region starts (page aligned); the server makes and maps the file,
 * registers the data region with the kernel, and hands both parts over.
 */
void volume_arena_size(const struct volume_opts *o, uint64_t *ret_total, uint64_t *ret_data_off);

/*
 * Gives the volume its arena. @adopt: the memory comes from an earlier daemon (ARENA_FD) and its
 * index is to be believed once checked; its geometry, not @o's, then holds. -EBADMSG: not an arena
 * of this volume, or damaged: the caller makes a fresh one (and the kernel will say CACHE_LOST if
 * that loses anything). @total as mapped.
 */
int volume_set_arena(struct volume *v, void *base, uint64_t total, bool adopt);

struct volume_recovery {
	uint64_t recovered_wno;		/* everything up to here is held by store or arena */
	uint64_t durable_wno;		/* ... by the store alone */
	bool adopted;			/* the arena's whole index was adopted */
	bool foreign;			/* another host has written since this one was told last:
					 * who has a device open here holds what is not there */
	bool gone;			/* what only a journal held is gone with it: likewise */
	uint32_t adopted_entries;
	uint64_t journal_ops;		/* that came from the journal */
	uint64_t segments_replayed;
	uint64_t epoch;
};

/*
 * LIST, newest head, head v+1, manifest, the segments after it, the fence, adoption. After 0 the
 * volume takes requests. -ENOENT: no volume here; -EKEYREJECTED: wrong key; -EBADMSG: an object is
 * damaged (named in a notice); -EOPNOTSUPP: the store lets a name be created twice; -EBUSY:
 * another host has a fresh lease (a notice names it); -ENODATA: an
 * object that must exist does not; -ESTALE: somebody newer owns the volume, or the store shows an
 * older image than this host has seen. Nothing is overwritten in any of these. A store that is away
 * or full is waited for (volume_stats.store_errno); one that refuses for good ends it: -EACCES,
 * -EROFS. [waits]
 */
int volume_recover(struct volume *v, struct volume_recovery *ret);

/*
 * The kernel knows what was recovered, or had nothing older: RESUME is through, or the devices are
 * new. Until then a daemon that dies leaves volume_recovery.foreign as it is, and an arena that was
 * not adopted will not be.
 */
void volume_resumed(struct volume *v);

/* The log's device table, valid until the next call that changes it. */
uint32_t volume_devices(struct volume *v, const struct volume_dev **ret);

/* Posts all free write extents through env->post_buf. Once, after the kernel takes BUFs. */
void volume_start(struct volume *v);

/* Takes a request; done() comes once, possibly before this returns. Errors come through io->res. */
void volume_submit(struct volume *v, struct io_req *io);

/*
 * The kernel has copied what a finished READ's segs[] name. Exactly once per READ that ended with
 * res 0.
 */
void volume_release(struct volume *v, struct io_req *io);

/* The kernel has no BUF left while a write waits: seal what is open, do not wait for a FLUSH. */
void volume_starved(struct volume *v);

/*
 * Does what is due (age cuts, retries). volume_deadline_us(): when it wants to be called next, ~0 =
 * never.
 */
void volume_tick(struct volume *v);
uint64_t volume_deadline_us(const struct volume *v);

/**
 * struct volume_keys - which keys a served volume uses
 * @version:	of the keys object
 * @in_head:	the newest head accepts no older one than this
 * @data_gen:	the data key that encrypts what is new
 * @busy:	a newer object is being read
 * @err:	how that ended last time
 */
struct volume_keys {
	uint64_t version, in_head;
	uint32_t data_gen;
	bool busy;
	int err;
};

/*
 * Keys object @version was made (keys.h, Changes): reads it, uses it, and makes a head that names
 * it. Returns at once; called again with the same @version it says how far that has come. What has
 * failed it says once, and tries it again when it is called after that.
 */
void volume_rekey(struct volume *v, uint64_t version, struct volume_keys *ret);

/* Seals all and waits for the commit point. Serving may go on after it. [waits] */
int volume_drain(struct volume *v);

/* The same, then writes manifest and head, says "clean". [waits] */
int volume_detach(struct volume *v);

/*
 * The process ends as soon as the store is idle: nothing is begun any more that the next one can do
 * as well.
 */
void volume_ending(struct volume *v);

/*
 * Frees; pending store requests and work must have ended (server: stop both first). NULL does
 * nothing.
 */
void volume_free(struct volume *v);

struct volume_stats {
	uint64_t wno, committed_wno;		/* last given, last durable */
	uint64_t epoch, head_version, commit_seq, next_seq;
	uint64_t ops[IO_NR_OPS], bytes[IO_NR_OPS];
	uint64_t mapped_bytes;			/* logical bytes that have data, committed */
	/* in segments that are in the store: still referenced; all */
	uint64_t live_bytes, stored_bytes;
	uint64_t dead_bytes;			/* ... in those of which nothing is */
	uint64_t deleted_segments, deleted_bytes;	/* of those, since the start */
	uint64_t raw_bytes_sealed, frame_bytes_sealed;	/* before and after the codec */
	uint64_t segments_sealed, segments_committed, segments_inflight;
	uint64_t manifests, heads;
	uint64_t dirty_bytes, dirty_age_us;	/* acknowledged, not in the store */
	uint64_t cache_hits, cache_misses, cache_bytes, cache_evictions;
	/* decoded, of frames: read ahead since the start; asked for after that */
	uint64_t ahead_bytes, ahead_used;
	uint64_t extents, map_bytes;
	uint64_t bufs_total, bufs_free, bufs_posted, starvations;
	uint64_t memory_used, memory_cap;
	uint64_t store_errors, store_retries;
	int store_errno;			/* of the outage under way, 0 = none */
	uint64_t store_outage_us;		/* how long it has lasted */
	uint64_t flushes_waiting;
	uint64_t corrupt_frames;
	uint64_t parked;		/* batches whose data went to the journal alone */
	bool journal_active, journal_failed;
	uint64_t journal_size, journal_used;	/* bytes of the ring */
	uint64_t journal_groups, journal_records, journal_bytes;
	uint64_t durable_wno;		/* in the sense of the flush mode */
};

void volume_get_stats(struct volume *v, struct volume_stats *ret);

#endif
