/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct volume: what the files of the core share. Only daemon/volume/ includes it.
 *
 * Way of a write: write.c (number, arena index, overlay, open batch, answer) -> batch.c (cut:
 * pieces and frames)
 * -> seal.c (workers: compress, encrypt; header in seq order) -> uploader.c (PUT) -> commit.c
 * (commit point, flushes, base map, trim). Way of a read: read.c (overlay, base map, cache) ->
 * fetch.c (ranged GET, workers). Beside them: head.c, checkpoint.c, recover.c, replay.c, adopt.c.
 *
 * Invariants across the parts (volume_check() in volume_check.c):
 *  V1 committed_wno <= last_wno < next_wno; applied_wno <= committed_wno.
 *  V2 seqs of the batches on `batches` ascend without a gap from lowest_seq on to next_seq - 1;
 *  their wno ranges are
 *     contiguous, from applied_wno + 1 on, and the open batch goes on from there.
 *  V3 every overlay extent belongs to a batch that is open or on `batches`.
 *  V4 an overlay page lies in an extent of the arena that is not FREE; what an overlay extent has
 *  in
 *     the journal lies in a record that is needed.
 *  V5 a batch is PUT only if its seq < lowest_seq + window.
 *  V6 a waiting flush's number is > what is durable (commit_durable_wno()).
 *  V8 dirty_bytes is the sum of what was written into the batches that are not committed.
 *  V7 memory counters (sealed, fetch) are the sums over what they count; what is kept of GETs
 *     is within fetch_cap together with what is under way.
 *  V8 the base map has no pages; a leaf with an extent beyond saved_wno is listed in dirty or
 *     saving; no zero up to saved_wno is left in it.
 *  V9 with all leaves known and nothing lost, the segments' counts and mapped_blocks are what a
 *  scan of
 *     the base map finds; else they are no less.
 *  V10 nothing in the base map is in a segment that is DELETED (dead.h); segtab.dead_bytes and
 *     stored_bytes are sums over the table.
 */
#ifndef VOLUME_VOL_H
#define VOLUME_VOL_H

#include "base/list.h"
#include "format/fmt_head.h"
#include "format/fmt_manifest.h"
#include "format/fmt_state.h"
#include "io.h"
#include "volume/arena.h"
#include "volume/basemap.h"
#include "volume/cache.h"
#include "volume/dead.h"
#include "volume/emap.h"
#include "volume/leaves.h"
#include "volume/pace.h"
#include "volume/runs.h"
#include "volume/segtab.h"
#include "volume/sio.h"
#include "volume/spares.h"
#include "volume/stream.h"
#include "volume/volume.h"

struct batch;
struct codec;
struct journal;

#define VOL_CODECS		8u	/* workers that can be in the codec at once */
#define VOL_BODIES		32u	/* kept for GETs */
#define VOL_PUTS		VOLUME_PUTS
/* batches under way above which a FLUSH lets the open one grow */
#define VOL_FLUSH_BATCHES	4u
#define VOL_FIRST_SEQ		1u
#define VOL_PACK_NONE		256u	/* volume.pack of data that does not compress ... */
#define VOL_PACK_MAX		512u	/* ... and what is believed at most */
#define VOL_TRIES		4u	/* of a store request that does not matter much */
#define VOL_WINDOW		16u	/* W of new volumes */
#define VOL_WNO_JUMP		(1ull << 32)	/* resume_wno - last wno known */

/*
 *           volume_recover()              volume_detach()
 *  VOL_NEW ------------------> VOL_SERVING ---------------> VOL_DETACHED
 *                                  | a newer owner is found
 *                                  v
 *                             VOL_SUPERSEDED   for good: nothing is acknowledged, written or
 *                             deleted
 */
enum vol_state {
	VOL_NEW,
	VOL_SERVING,
	VOL_DETACHED,
	VOL_SUPERSEDED,
};

/* A manifest, and the runs that it names, oldest first. */
struct vol_image {
	uint64_t version, id;
	struct fmt_run_ref *runs;
	uint32_t nr_runs;
};

struct volume {
	struct volume_env env;
	struct volume_opts o;
	struct keyring *kr;
	uint8_t uuid[16];
	enum vol_state state;
	bool started;			/* extents go to the kernel */
	struct sio_ctx sio;

	/* identity; constant after recovery */
	uint64_t epoch;
	uint8_t nonce[FMT_NONCE_LEN];
	uint32_t window;
	struct fmt_head head;		/* newest of ours */
	struct fmt_state seen;		/* as this host remembers it */
	uint64_t seen_us;		/* when that is saved again, at the earliest ... */
	int seen_err;			/* ... and how it ended when that was last due */

	struct volume_dev *devs;
	struct fmt_dev *fdevs;		/* the same, as in the manifest */
	uint32_t nr_devs;
	uint32_t next_dev_id;

	struct emap base, overlay;
	struct segtab segs;
	struct dead dead;		/* segments that are to be deleted */
	struct runs runs;		/* what the base map is loaded from ... */
	struct leaves leaves;		/* ... leaf by leaf */
	uint64_t mapped_blocks;		/* with data, in the base map, loaded or not */
	struct arena arena;
	bool has_arena;
	struct fmt_arena_rec *adopt;	/* records of an earlier daemon, until recovery */
	uint32_t nr_adopt;
	bool adopted;			/* the arena is an earlier daemon's ... */
	bool adopt_sound;		/* ... and its index is not damaged */
	struct cache cache;
	struct pace pace;

	/* sequencer */
	uint64_t next_wno, last_wno;
	/* the fence's resume_wno: numbers of this process begin here */
	uint64_t own_wno;
	uint64_t fence_seq;		/* slot of this process's fence */
	bool starving;			/* the kernel waits for extents */
	struct list_head held;		/* requests that wait for room, in order */

	/* batches */
	struct batch *open;
	struct list_head batches;	/* cut and not yet applied, by seq */
	uint32_t next_batch;
	uint64_t next_seq, lowest_seq;	/* lowest_seq: of the lowest batch that is not durable */
	uint8_t chain[FMT_HASH_LEN];	/* of the last object that has a header */
	/* bytes of data per 256 stored, of late: how much makes a segment of segment_bytes */
	uint32_t pack;
	uint64_t retry_us;		/* try again what lacked memory; ~0 = nothing */

	/* workers */
	struct codec *codecs[VOL_CODECS];	/* idle ones */
	uint32_t nr_codecs, codecs_out;
	struct list_head decodes, encodes;	/* work that waits for a codec */

	/* commit point */
	uint64_t commit_seq, committed_wno, applied_wno;
	uint8_t commit_chain[FMT_HASH_LEN];	/* hash of the object at commit_seq */
	/* what a manifest of the base map would say: first seq not in it ... */
	uint64_t replay_from;
	uint8_t replay_chain[FMT_HASH_LEN];	/* ... and hash of the object before that */
	bool part_applied;		/* the base map is between two commit points */
	struct journal *journal;	/* NULL: none */
	uint64_t dirty_bytes;		/* of operations beyond committed_wno */
	struct list_head flushes;	/* FLUSH and FUA, by the number they wait for */
	uint64_t nr_flushes;

	/* reads */
	struct list_head stalled;	/* READs that wait for room in the cache, in order */
	struct list_head jfetches, jfetching;	/* the same of the journal's records */
	struct list_head fetches, fetching;	/* GETs that wait for memory; that are under way */
	struct list_head aheads;	/* ... that nobody waits for */
	bool no_ahead;			/* the volume ends: nothing is read ahead any more */
	struct streams streams;
	uint64_t reads_waiting;

	/* checkpoint */
	struct checkpoint *ckpt;	/* under way */
	int ckpt_res;			/* of the last one */
	uint32_t sweeps;		/* requests of a sweep under way */
	bool wake;			/* something has ended: volume_detach() looks again */
	bool frozen;			/* base and segs are being read by a worker */
	uint64_t segments_since;	/* applied since the last manifest */
	/* of the newest manifest; of the one before, if this process knows it */
	struct vol_image image[2];
	uint64_t saved_wno;		/* the last number that the newest one holds */
	/* leaves of the base map that it does not hold; those that a checkpoint is writing */
	struct basemap_dirty dirty, saving;

	uint64_t contact_us;		/* contact.h */

	/* lease: look-up, writing or removal under way; when it is written next */
	struct sio *lease;
	uint64_t lease_us;

	/* keys object that is being read; how that ended */
	struct sio *rekey;
	uint64_t rekey_version;
	int rekey_err;

	/* memory */
	uint64_t sealed_bytes, sealed_cap;
	struct spares spares; /* with sealed_bytes at most sealed_cap */
	uint64_t fetch_bytes, fetch_cap;
	uint64_t ahead_bytes;		/* of those: read ahead */
	uint32_t nr_aheads;		/* ... GETs under way */
	/*
	 * memory of GETs that have ended, FETCH_AHEAD_LEN each; within fetch_cap with fetch_bytes
	 */
	void *bodies[VOL_BODIES];
	uint32_t nr_bodies;
	uint64_t ckpt_bytes;
	uint64_t batch_bytes;		/* lists and tables of batches */

	struct volume_stats st;		/* the counters; the rest is filled in by stats */
};

static inline const uint8_t *vol_page(const struct volume *v, uint32_t page)
{
	return v->arena.data + ((uint64_t)page << IO_BLOCK_SHIFT);
}

static inline bool vol_serving(const struct volume *v)
{
	return v->state == VOL_SERVING;
}

/*
 * Somebody newer owns the volume: tells the world, fails what waits. Once; later calls do nothing.
 * (volume.c)
 */
void volume_superseded(struct volume *v, const char *why);

/* Cuts, seals and uploads what is due. (volume.c) */
void volume_pump(struct volume *v);

/*
 * Posts free extents, takes up held and stalled requests: after anything was given back. (volume.c)
 */
void volume_room(struct volume *v);

/*
 * Waits until something has ended that may have made room. -ESTALE: superseded. [waits] (volume.c)
 */
int volume_wait(struct volume *v);

/* Something failed for want of memory: tick again in a moment. (volume.c) */
void volume_retry(struct volume *v);

/*
 * 0, or the number of the invariant above (10 * n) or of a part's own. For tests. (volume_check.c)
 */
int volume_check(struct volume *v);

#endif
