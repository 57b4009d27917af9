// SPDX-License-Identifier: GPL-2.0-or-later
/* The figures of a volume. */
#include "volume/volume.h"

#include "base/clock.h"
#include "volume/batch.h"
#include "volume/codec.h"
#include "volume/commit.h"
#include "volume/fetch.h"
#include "volume/journal.h"
#include "volume/vol.h"

static uint64_t map_bytes(const struct volume *v)
{
	return v->base.bytes + v->overlay.bytes + v->segs.heap_bytes + v->dirty.bytes +
	       v->saving.bytes + v->runs.bytes + v->leaves.bytes +
	       v->dead.cap * sizeof(*v->dead.seg) +
	       (v->image[0].nr_runs + v->image[1].nr_runs) * sizeof(*v->image[0].runs);
}

static uint64_t memory_used(const struct volume *v)
{
	return v->arena.geo.total_len + v->arena.heap_bytes + v->cache.heap_bytes + map_bytes(v) +
	       v->sealed_bytes + v->spares.bytes + v->fetch_bytes +
	       (uint64_t)v->nr_bodies * FETCH_AHEAD_LEN + v->ckpt_bytes + v->batch_bytes +
	       (v->journal ? v->journal->mem : 0) +
	       (uint64_t)(v->nr_codecs + v->codecs_out) * CODEC_MEMORY;
}

static void dirty(struct volume *v, struct volume_stats *s)
{
	uint64_t since = commit_dirty_since(v);
	const struct batch *b;

	list_for_each_entry(b, &v->batches, link)
		s->segments_inflight += b->state != BATCH_COMMITTED;
	s->dirty_bytes = v->dirty_bytes;
	s->dirty_age_us = since == ~0ull ? 0 : clock_mono_us(v->env.clock) - since;
}

void volume_get_stats(struct volume *v, struct volume_stats *ret)
{
	const int *outage = v->sio.outage;
	const struct journal *j = v->journal;
	struct volume_stats s = v->st;
	enum store_op op;

	s.wno = v->last_wno;
	s.committed_wno = v->committed_wno;
	s.epoch = v->epoch;
	s.head_version = v->head.version;
	s.commit_seq = v->commit_seq;
	s.next_seq = v->next_seq;
	s.mapped_bytes = v->mapped_blocks << IO_BLOCK_SHIFT;
	s.live_bytes = v->segs.live_bytes;
	s.stored_bytes = v->segs.stored_bytes;
	s.dead_bytes = v->segs.dead_bytes;
	dirty(v, &s);
	s.cache_bytes = v->cache.used_bytes;
	s.cache_evictions = v->cache.evictions;
	s.ahead_bytes = v->cache.ahead_bytes;
	s.ahead_used = v->cache.ahead_used;
	s.extents = v->base.extents + v->overlay.extents;
	s.map_bytes = map_bytes(v);
	s.bufs_total = v->arena.nr_exts;
	s.bufs_free = v->arena.nr_free;
	s.bufs_posted = v->arena.nr_posted;
	s.memory_used = memory_used(v);
	s.memory_cap = v->o.memory;
	s.store_errors = v->sio.errors;
	s.store_retries = v->sio.retries;
	op = outage[STORE_PUT] ? STORE_PUT : outage[STORE_GET] ? STORE_GET : STORE_LIST;
	s.store_errno = -outage[op];
	if (outage[op])
		s.store_outage_us = clock_mono_us(v->env.clock) - v->sio.outage_us[op];
	s.flushes_waiting = v->nr_flushes;
	s.durable_wno = commit_durable_wno(v);
	if (j) {
		s.journal_active = j->state == JOURNAL_ACTIVE;
		s.journal_failed = j->state == JOURNAL_FAILED;
		s.journal_size = j->ring_len;
		s.journal_used = j->head - j->tail;
		s.journal_groups = j->groups;
		s.journal_records = j->records;
		s.journal_bytes = j->bytes;
	}
	*ret = s;
}
