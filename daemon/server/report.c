// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/report.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/host.h"
#include "server/report_store.h"
#include "server/session.h"

const char *report_state(uint32_t state)
{
	static const char *const names[ZEROFS_S_NR] = {
		[ZEROFS_S_LIVE] = "LIVE",
		[ZEROFS_S_DETACHED] = "DETACHED",
		[ZEROFS_S_RECOVERING] = "RECOVERING",
		[ZEROFS_S_FAILED] = "FAILED",
		[ZEROFS_S_CACHE_LOST] = "CACHE_LOST",
		[ZEROFS_S_SUPERSEDED] = "SUPERSEDED",
	};

	return state < ZEROFS_S_NR ? names[state] : "UNKNOWN";
}

const char *report_flush(bool local)
{
	if (!local)
		return "a FLUSH returns when all that was written before it is in the store";
	return "a FLUSH returns when all that was written before it is in the journal or the "
	       "store; what is not yet in the store is lost with this host and its journal's disk";
}

static void set_u64(json_t *j, const char *key, uint64_t v)
{
	json_object_set_new(j, key, json_integer((json_int_t)v));
}

static void set_str(json_t *j, const char *key, const char *v)
{
	json_object_set_new(j, key, json_string(v));
}

static json_t *head(struct session *s, const struct report_meta *m)
{
	json_t *j = json_object();

	json_object_set_new(j, "ok", json_true());
	set_str(j, "name", m->name);
	set_str(j, "uuid", m->uuid);
	set_str(j, "url", m->url);
	set_u64(j, "pid", (uint64_t)getpid());
	set_str(j, "version", ZEROFS_VERSION);
	set_str(j, "served_by", m->by);
	set_str(j, "phase", m->phase);
	set_str(j, "state", s->bound ? report_state(kdev_state(&s->kd)) : "NONE");
	set_str(j, "flush", m->flush_local ? "local" : "store");
	set_str(j, "flush_promise", report_flush(m->flush_local));
	set_u64(j, "started_us", m->started_us);
	set_u64(j, "attach_gen", s->bound ? s->kd.attach_gen : 0);
	return j;
}

static json_t *devices(const struct session *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; s->up && i < s->nr_devs; i++) {
		const struct session_dev *d = &s->devs[i];
		char node[32];
		json_t *j;

		if (!d->started)
			continue;
		j = json_object();
		snprintf(node, sizeof(node), "/dev/zerofs%u", d->index);
		set_u64(j, "id", d->id);
		set_str(j, "name", d->name);
		set_str(j, "node", node);
		set_u64(j, "size", d->size);
		set_u64(j, "write_queues", d->write_queues);
		set_u64(j, "read_queues", d->read_queues);
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *notices(const struct host *h)
{
	static const char *const levels[] = { "error", "warning", "info", "debug" };
	json_t *list = json_array();
	uint32_t from = h->nr_notices > HOST_NOTICES ? h->nr_notices - HOST_NOTICES : 0;

	for (uint32_t i = from; i < h->nr_notices; i++) {
		const struct host_notice *n = &h->notices[i % HOST_NOTICES];
		json_t *j = json_object();

		set_u64(j, "time_us", n->real_us);
		set_str(j, "level",
			n->level >= 0 && n->level <= LOG_LEVEL_DEBUG ? levels[n->level] : "debug");
		set_str(j, "text", n->text);
		json_array_append_new(list, j);
	}
	return list;
}

const char *report_trouble(int err)
{
	switch (err < 0 ? -err : err) {
	case 0:
		return "";
	case ENOSPC:
		return "the store is full (no space left): make room, it goes on by itself";
	default:
		return strerror(err < 0 ? -err : err);
	}
}

json_t *report_status(struct session *s, const struct report_meta *m)
{
	struct volume_stats st = { 0 };
	json_t *j = head(s, m);

	assert(core_held(&s->host->core));
	if (s->volume)
		volume_get_stats(s->volume, &st);
	json_object_set_new(j, "devices", devices(s));
	set_u64(j, "dirty_bytes", st.dirty_bytes);
	set_u64(j, "dirty_age_us", st.dirty_age_us);
	set_u64(j, "flushes_waiting", st.flushes_waiting);
	set_u64(j, "mapped_bytes", st.mapped_bytes);
	set_u64(j, "stored_bytes", st.stored_bytes);
	set_u64(j, "dead_bytes", st.dead_bytes);
	set_u64(j, "memory_used", st.memory_used);
	set_u64(j, "memory_cap", st.memory_cap);
	set_u64(j, "corrupt_frames", st.corrupt_frames);
	set_u64(j, "epoch", st.epoch);
	set_str(j, "journal", st.journal_failed ? "failed" : st.journal_active ? "active" : "none");
	set_u64(j, "journal_size", st.journal_size);
	set_u64(j, "journal_used", st.journal_used);
	if (m->store_errno) {
		st.store_errno = m->store_errno;
		st.store_outage_us = clock_real_us(s->host->env.clock) - m->store_since_us;
	}
	json_object_set_new(j, "store_errno", json_integer(st.store_errno));
	set_u64(j, "store_outage_us", st.store_outage_us);
	set_str(j, "store_trouble", report_trouble(st.store_errno));
	json_object_set_new(j, "notices", notices(s->host));
	return j;
}

static json_t *by_op(const uint64_t *v)
{
	static const char *const names[IO_NR_OPS] = {
		[IO_READ] = "read",
		[IO_WRITE] = "write",
		[IO_FLUSH] = "flush",
		[IO_DISCARD] = "discard",
		[IO_WRITE_ZEROES] = "write_zeroes",
	};
	json_t *j = json_object();

	for (int i = 0; i < IO_NR_OPS; i++)
		set_u64(j, names[i], v[i]);
	return j;
}

static json_t *transport(const struct session *s)
{
	struct ring_stats sum = { 0 };
	json_t *j = json_object();

	for (uint32_t i = 0; s->up && i < s->nr_rings; i++) {
		struct ring_stats r;

		ring_get_stats(s->rings[i], &r);
		sum.requests += r.requests;
		sum.enters += r.enters;
		sum.waits += r.waits;
		sum.wakeups += r.wakeups;
		sum.rejected += r.rejected;
		sum.ring_full += r.ring_full;
	}
	set_u64(j, "queues", s->up ? s->nr_rings : 0);
	set_u64(j, "requests", sum.requests);
	set_u64(j, "enters", sum.enters);
	set_u64(j, "waits", sum.waits);
	set_u64(j, "wakeups", sum.wakeups);
	set_u64(j, "rejected", sum.rejected);
	set_u64(j, "ring_full", sum.ring_full);
	set_u64(j, "posts_refused", s->posts_refused);
	return j;
}

#define STAT(name) \
	{ \
#name, offsetof(struct volume_stats, name) \
	}

/* Every plain counter of struct volume_stats. */
static const struct {
	const char *name;
	size_t off;
} counters[] = {
	STAT(wno),
	STAT(committed_wno),
	STAT(epoch),
	STAT(head_version),
	STAT(commit_seq),
	STAT(next_seq),
	STAT(mapped_bytes),
	STAT(live_bytes),
	STAT(stored_bytes),
	STAT(dead_bytes),
	STAT(deleted_segments),
	STAT(deleted_bytes),
	STAT(raw_bytes_sealed),
	STAT(frame_bytes_sealed),
	STAT(segments_sealed),
	STAT(segments_committed),
	STAT(segments_inflight),
	STAT(manifests),
	STAT(heads),
	STAT(dirty_bytes),
	STAT(dirty_age_us),
	STAT(cache_hits),
	STAT(cache_misses),
	STAT(cache_bytes),
	STAT(cache_evictions),
	STAT(ahead_bytes),
	STAT(ahead_used),
	STAT(extents),
	STAT(map_bytes),
	STAT(bufs_total),
	STAT(bufs_free),
	STAT(bufs_posted),
	STAT(starvations),
	STAT(memory_used),
	STAT(memory_cap),
	STAT(store_errors),
	STAT(store_retries),
	STAT(flushes_waiting),
	STAT(durable_wno),
	STAT(journal_size),
	STAT(journal_used),
	STAT(journal_groups),
	STAT(journal_records),
	STAT(journal_bytes),
	STAT(parked),
	STAT(corrupt_frames),
};

json_t *report_stats(struct session *s, const struct report_meta *m)
{
	struct volume_stats st = { 0 };
	json_t *j = head(s, m);

	assert(core_held(&s->host->core));
	if (s->up)
		volume_get_stats(s->volume, &st);
	set_u64(j, "uptime_us", clock_real_us(s->host->env.clock) - m->started_us);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		uint64_t v;

		memcpy(&v, (const char *)&st + counters[i].off, sizeof(v));
		set_u64(j, counters[i].name, v);
	}
	json_object_set_new(j, "store_errno", json_integer(st.store_errno));
	set_u64(j, "store_outage_us", st.store_outage_us);
	json_object_set_new(j, "requests", by_op(st.ops));
	json_object_set_new(j, "bytes", by_op(st.bytes));
	json_object_set_new(j, "transport", transport(s));
	json_object_set_new(j, "store", report_store(s->host->store));
	json_object_set_new(j, "wire", report_store_wire(s->host->store));
	json_object_set_new(j, "usage", report_store_usage(s->host->store, st.stored_bytes));
	return j;
}
