// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io.h"
#include "server/host.h"

#define EXTENTS_SPARE 4u /* beyond two for each write queue */

static int fail(char *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(char *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, HOST_ERR_LEN, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- what the transport calls (core lock held) ------------------------------------------- */

static void sink_submit(void *ctx, struct io_req *io)
{
	struct session *s = ctx;

	volume_submit(s->volume, io);
}

static void sink_release(void *ctx, struct io_req *io)
{
	struct session *s = ctx;

	volume_release(s->volume, io);
}

static void sink_starved(void *ctx)
{
	struct session *s = ctx;

	volume_starved(s->volume);
}

static void sink_ended(void *ctx, int rc)
{
	struct session *s = ctx;

	assert(s->live_rings > 0);
	s->live_rings--;
	if (rc && rc != -ESHUTDOWN)
		s->broken = true;
	if (s->changed)
		s->changed(s->ctx);
}

/* ---- what the volume calls --------------------------------------------------------------- */

static void post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	struct session *s = ctx;

	if (!s->posting)
		return;
	/*
	 * The ring has room for every extent there can be; a module that says otherwise loses us
	 * one.
	 */
	if (kdev_post_buf(&s->kd, off, len, id))
		s->posts_refused++;
	else if (kdev_starved(&s->kd))
		core_kick(&s->host->core, &s->kick);
}

static void kick_writers(struct core_kick *k)
{
	struct session *s = container_of(k, struct session, kick);

	kdev_kick(&s->kd);
}

/* ---- begin ------------------------------------------------------------------------------- */

int session_open(struct session *s, struct host *h, const struct session_conf *conf, char *err)
{
	int rc;

	*s = (struct session){ .host = h, .conf = *conf, .region = REGION_NONE };
	s->sink = (struct sink){ sink_submit, sink_release, sink_starved, sink_ended, s };
	s->kick.run = kick_writers;
	host_on_post_buf(h, post_buf, s);
	rc = kdev_open(&s->kd);
	if (rc)
		kdev_explain(&s->kd, rc, err, HOST_ERR_LEN);
	return rc;
}

int session_attach(struct session *s, const uint8_t uuid[16], const char *name, char *err)
{
	int rc = -ENOENT;

	/* It may end, or begin, between the two calls. */
	for (int tries = 0; rc == -ENOENT && tries < 3; tries++) {
		rc = kdev_create(&s->kd, uuid, name, s->conf.grace_ms);
		if (!rc)
			break;
		if (rc == -EEXIST) {
			rc = kdev_attach(&s->kd, uuid, s->conf.grace_ms, &s->info);
			s->attached = !rc;
		}
	}
	if (rc == -EPROTONOSUPPORT) {
		kdev_explain(&s->kd, rc, err, HOST_ERR_LEN);
		return rc;
	}
	if (rc == -EBUSY)
		return fail(err, rc,
			    "the volume '%s' is already served on this host; see: zerofs list",
			    name);
	if (rc == -ENOENT)
		return fail(err, rc,
			    "another volume called '%s' is in use on this host; see: zerofs list",
			    name);
	if (rc)
		return fail(err, rc, "the module refuses the volume '%s': %s", name, strerror(-rc));
	if (s->info.state == ZEROFS_S_SUPERSEDED)
		return fail(err, -ESTALE,
			    "the devices of '%s' are left over from before another host took the "
			    "volume over; "
			    "remove them first: zerofs detach --force %s",
			    name, name);
	core_lock(&s->host->core);
	s->bound = true;
	core_unlock(&s->host->core);
	return 0;
}

/* The earlier daemon's arena. 0; -EBADMSG: there is none that can be believed; -errno. */
static int adopt_arena(struct session *s, struct volume *v)
{
	uint64_t total = s->info.arena_offset + s->info.arena_len;
	int fd, rc;

	if (!(s->info.flags & ZEROFS_ATTACH_HAS_ARENA) || total < s->info.arena_len)
		return -EBADMSG;
	fd = kdev_arena_fd(&s->kd);
	if (fd < 0)
		return fd == -ENODATA ? -EBADMSG : fd;
	rc = region_adopt(&s->region, fd, total);
	if (rc)
		return rc;
	core_lock(&s->host->core);
	rc = volume_set_arena(v, s->region.base, total, true);
	s->volume = rc ? NULL : v;
	core_unlock(&s->host->core);
	if (rc)
		region_free(&s->region);
	else
		s->data_off = s->info.arena_offset;
	return rc;
}

static int fresh_arena(struct session *s, struct volume *v, const struct volume_opts *opts)
{
	uint64_t total;
	int rc;

	volume_arena_size(opts, &total, &s->data_off);
	rc = region_make(&s->region, total);
	if (rc)
		return rc;
	core_lock(&s->host->core);
	rc = volume_set_arena(v, s->region.base, total, false);
	s->volume = rc ? NULL : v;
	core_unlock(&s->host->core);
	return rc;
}

static uint32_t buf_ring_entries(uint64_t len)
{
	uint32_t n = 2;

	while (n < ZEROFS_MAX_BUFS && n < len / ZEROFS_MIN_BUF)
		n *= 2;
	return n;
}

int session_begin(struct session *s, struct volume *v, const struct volume_opts *opts, char *err)
{
	uint64_t len;
	int rc = s->attached ? adopt_arena(s, v) : -EBADMSG;

	if (rc == -EBADMSG)
		rc = fresh_arena(s, v, opts);
	if (rc == -ENOMEM)
		return fail(err, rc, "not enough memory for --memory %" PRIu64 "M; give less",
			    opts->memory >> 20);
	if (rc)
		return fail(err, rc, "cannot set up the shared memory: %s", strerror(-rc));
	len = s->region.total - s->data_off;
	rc = kdev_reg_arena(&s->kd, s->region.fd, s->data_off, (char *)s->region.base + s->data_off,
			    len, buf_ring_entries(len));
	if (rc == -ENOMEM)
		return fail(err, rc, "not enough memory for --memory %" PRIu64 "M; give less",
			    opts->memory >> 20);
	if (rc)
		return fail(err, rc, "the module refuses the shared memory: %s", strerror(-rc));
	return 0;
}

/* ---- devices ----------------------------------------------------------------------------- */

static int read_log_devices(struct session *s, char *err)
{
	const struct volume_dev *d;

	core_lock(&s->host->core);
	s->nr_devs = volume_devices(s->volume, &d);
	for (uint32_t i = 0; i < s->nr_devs && i < VOLUME_MAX_DEVS; i++) {
		struct session_dev *sd = &s->devs[i];

		*sd = (struct session_dev){
			.id = d[i].id,
			.size = d[i].size,
			.ro = d[i].ro,
			.write_queues = s->conf.write_queues,
			.read_queues = s->conf.read_queues,
		};
		snprintf(sd->name, sizeof(sd->name), "%s", d[i].name);
	}
	core_unlock(&s->host->core);
	if (!s->nr_devs || s->nr_devs > VOLUME_MAX_DEVS)
		return fail(err, -EBADMSG, "the volume has %u devices, of 1 to %u", s->nr_devs,
			    VOLUME_MAX_DEVS);
	return 0;
}

/*
 * Every write queue holds on to an extent, and one more has to go round or writes stop for good. So
 * new devices get as many write queues as there are extents for, two each; those the module has
 * already are as they are.
 */
static int fit_queues(struct session *s, char *err)
{
	struct volume_stats st;
	uint32_t total = 0, fit;

	core_lock(&s->host->core);
	volume_get_stats(s->volume, &st);
	core_unlock(&s->host->core);
	fit = st.bufs_total > EXTENTS_SPARE ?
		      (uint32_t)(st.bufs_total - EXTENTS_SPARE) / 2 / s->nr_devs :
		      0;
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		struct session_dev *sd = &s->devs[i];

		if (!sd->known && sd->write_queues > fit)
			sd->write_queues = fit ? fit : 1;
		total += sd->write_queues;
	}
	if (total >= st.bufs_total)
		return fail(err, -ENOMEM,
			    "--memory is too little for %u devices with %u write queues; give more",
			    s->nr_devs, total);
	return 0;
}

/* Devices that the module has from an earlier daemon. */
static int find_kernel_devices(struct session *s, char *err)
{
	uint32_t ids[ZEROFS_MAX_DEVS];
	int n = kdev_list(&s->kd, ZEROFS_LIST_DEVS, s->kd.session, ids, ZEROFS_MAX_DEVS);

	if (n < 0)
		return fail(err, n, "the module does not list its devices: %s", strerror(-n));
	for (int i = 0; i < n && i < (int)ZEROFS_MAX_DEVS; i++) {
		struct session_dev *sd = NULL;
		struct zerofs_dev_info di;
		int rc = kdev_dev_info(&s->kd, ids[i], &di);

		if (rc == -ENODEV || (!rc && di.state == ZEROFS_D_DEAD))
			continue; /* it went away meanwhile */
		if (rc)
			return fail(err, rc, "the module does not describe /dev/zerofs%u: %s",
				    ids[i], strerror(-rc));
		for (uint32_t j = 0; j < s->nr_devs; j++) {
			if (s->devs[j].id == di.dev_id)
				sd = &s->devs[j];
		}
		if (!sd)
			return fail(err, -EBADMSG,
				    "/dev/zerofs%u is device %u, which the volume does not have; "
				    "remove it: "
				    "zerofs detach --force /dev/zerofs%u",
				    ids[i], di.dev_id, ids[i]);
		sd->known = true;
		sd->started = di.state == ZEROFS_D_STARTED;
		sd->index = ids[i];
		sd->write_queues = di.nr_write_queues;
		sd->read_queues = di.nr_read_queues;
		if (di.size != sd->size) {
			rc = kdev_resize(&s->kd, ids[i], sd->size);
			if (rc)
				return fail(err, rc,
					    "/dev/zerofs%u does not take its size of %" PRIu64
					    ": %s",
					    ids[i], sd->size, strerror(-rc));
		}
	}
	return 0;
}

static int add_missing(struct session *s, char *err)
{
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		struct session_dev *sd = &s->devs[i];
		struct zerofs_add_dev a = {
			.flags = sd->ro ? ZEROFS_DEV_RO : 0,
			.dev_id = sd->id,
			.index = -1,
			.size = sd->size,
			.block_size = ZEROFS_BLOCK_SIZE,
			.depth = s->conf.depth,
			.nr_write_queues = sd->write_queues,
			.nr_read_queues = sd->read_queues,
		};
		int rc;

		if (sd->known)
			continue;
		snprintf(a.name, sizeof(a.name), "%s", sd->name);
		rc = kdev_add_dev(&s->kd, &a);
		if (rc)
			return fail(err, rc, "the module does not take device '%s': %s", sd->name,
				    strerror(-rc));
		sd->known = true;
		sd->index = (uint32_t)a.index;
	}
	return 0;
}

/*
 * Room for the queues of all devices, and their numbers: write queues of all devices first, then
 * read queues.
 */
static int number_queues(struct session *s, char *err)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < s->nr_devs; i++) {
		s->devs[i].first_write = total;
		total += s->devs[i].write_queues;
	}
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		s->devs[i].first_read = total;
		total += s->devs[i].read_queues;
	}
	s->rings = calloc(total, sizeof(*s->rings));
	return s->rings ? 0 : fail(err, -ENOMEM, "out of memory");
}

/* Of the devices that the module has and whose queues are not open yet. */
static int open_queues(struct session *s, char *err)
{
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		struct session_dev *sd = &s->devs[i];

		for (uint32_t q = 0;
		     sd->known && !sd->opened && q < sd->write_queues + sd->read_queues; q++) {
			struct ring_conf conf = {
				.index = sd->index,
				.queue = q,
				.dev = sd->id,
				.number = q < sd->write_queues ?
						  sd->first_write + q :
						  sd->first_read + q - sd->write_queues,
				.arena_len = s->region.total - s->data_off,
			};
			int rc = ring_new(&s->rings[s->nr_rings], &s->host->core, &s->sink, &s->kd,
					  &conf);

			if (rc)
				return fail(err, rc,
					    "queue %u of /dev/zerofs%u cannot be opened: %s", q,
					    sd->index, strerror(-rc));
			s->nr_rings++;
		}
		sd->opened = sd->known;
	}
	return 0;
}

/*
 * What was acknowledged is all there if store and arena together hold everything up to the last
 * acknowledged number, and, when more was acknowledged than flushed, this arena's whole index was
 * adopted. Not if another host has written meanwhile: its numbers are higher than ours, and whoever
 * has a device open here does not know of it.
 */
static bool intact(const struct session *s, const struct volume_recovery *rec)
{
	const struct zerofs_attach *a = &s->info;

	if (rec->foreign || rec->gone || rec->recovered_wno < a->flushed_wno ||
	    rec->recovered_wno < a->acked_wno)
		return false;
	return a->acked_wno <= a->flushed_wno || rec->adopted;
}

static int resume(struct session *s, const struct volume_recovery *rec, char *err)
{
	bool ok = intact(s, rec);
	uint32_t state = ZEROFS_S_NR;
	int rc;

	rc = kdev_resume(&s->kd, ok ? ZEROFS_RESUME_INTACT : ZEROFS_RESUME_LOST,
			 rec->adopted ? ZEROFS_RESUME_ADOPTED : 0, rec->recovered_wno, &state);
	if (rc == -EBADFD)
		return fail(
			err, rc,
			"the module took the volume back while it was recovered (zerofs fail, or "
			"its state changed)");
	if (rc)
		return fail(err, rc, "the module does not resume the volume: %s", strerror(-rc));
	core_lock(&s->host->core);
	s->lost = state == ZEROFS_S_CACHE_LOST;
	core_unlock(&s->host->core);
	if (s->lost && rec->foreign)
		log_err("CACHE LOST: another host has written to the volume since it was served "
			"here; who has a device open does not know; all I/O fails; unmount, then "
			"run zerofs clear");
	else if (s->lost && rec->gone)
		log_err("CACHE LOST: writes that only the journal held are gone with it; all I/O "
			"fails; unmount, then run zerofs clear");
	else if (s->lost)
		log_err("CACHE LOST: writes that were acknowledged are gone (acked up to %" PRIu64
			", flushed up to %" PRIu64 ", found up to %" PRIu64
			"); all I/O fails; unmount, then run zerofs clear",
			(uint64_t)s->info.acked_wno, (uint64_t)s->info.flushed_wno,
			rec->recovered_wno);
	return 0;
}

static int start_all(struct session *s, char *err)
{
	int rc;

	for (uint32_t i = 0; i < s->nr_rings; i++) {
		core_lock(&s->host->core);
		s->live_rings++;
		core_unlock(&s->host->core);
		rc = ring_start(s->rings[i]);
		if (rc) {
			core_lock(&s->host->core);
			s->live_rings--;
			core_unlock(&s->host->core);
			return fail(err, rc, "cannot start a thread: %s", strerror(-rc));
		}
	}
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		if (s->devs[i].started || !s->devs[i].known)
			continue;
		rc = kdev_start_dev(&s->kd, s->devs[i].index);
		if (rc)
			return fail(err, rc, "/dev/zerofs%u does not start: %s", s->devs[i].index,
				    strerror(-rc));
		s->devs[i].started = true;
	}
	return 0;
}

/* Takes back what this daemon has added, so that nobody finds half a volume. */
static void unmake(struct session *s)
{
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		if (s->devs[i].known && !s->attached)
			kdev_del_dev(&s->kd, s->devs[i].index, true);
	}
}

int session_up(struct session *s, const struct volume_recovery *rec, char *err)
{
	int rc = read_log_devices(s, err);

	if (!rc && s->attached)
		rc = find_kernel_devices(s, err);
	if (!rc)
		rc = fit_queues(s, err);
	if (!rc && !s->attached)
		rc = add_missing(s, err);
	if (!rc)
		rc = number_queues(s, err);
	if (!rc)
		rc = open_queues(s, err);
	if (!rc) {
		core_lock(&s->host->core);
		s->posting = true;
		volume_start(s->volume);
		core_unlock(&s->host->core);
	}
	if (!rc && s->attached)
		rc = resume(s, rec, err);
	if (!rc) {
		core_lock(&s->host->core);
		volume_resumed(s->volume);
		core_unlock(&s->host->core);
	}
	/*
	 * Some devices may have been removed while others stayed. The module takes them back only
	 * when LIVE.
	 */
	if (!rc && s->attached && !s->lost) {
		rc = add_missing(s, err);
		if (!rc)
			rc = open_queues(s, err);
	}
	if (!rc)
		rc = start_all(s, err);
	if (rc) {
		for (uint32_t i = 0; i < s->nr_rings; i++)
			ring_stop(s->rings[i]);
		unmake(s);
		return rc;
	}
	core_lock(&s->host->core);
	s->up = true;
	core_unlock(&s->host->core);
	return 0;
}

/* ---- end --------------------------------------------------------------------------------- */

int session_set_ro(struct session *s, const char *device, bool on)
{
	for (uint32_t i = 0; i < s->nr_devs; i++) {
		const struct session_dev *sd = &s->devs[i];
		struct zerofs_dev_info di;
		char id[16], node[32];
		int rc;

		snprintf(id, sizeof(id), "%u", sd->id);
		snprintf(node, sizeof(node), "/dev/zerofs%u", sd->index);
		if (strcmp(device, sd->name) != 0 && strcmp(device, id) != 0 &&
		    strcmp(device, node) != 0 && strcmp(device, node + strlen("/dev/")) != 0)
			continue;
		rc = kdev_dev_info(&s->kd, sd->index, &di);
		if (!rc && (di.session != s->kd.session || di.dev_id != sd->id))
			rc = -ENODEV;
		return rc ? rc : kdev_set_ro(&s->kd, sd->index, on);
	}
	return -ENODEV;
}

uint32_t session_openers(struct session *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->nr_devs; i++) {
		struct zerofs_dev_info di;

		if (s->devs[i].known && !kdev_dev_info(&s->kd, s->devs[i].index, &di) &&
		    di.session == s->kd.session && di.dev_id == s->devs[i].id && di.openers)
			n++;
	}
	return n;
}

int session_remove(struct session *s, bool force, char *err)
{
	int first = 0;

	for (uint32_t i = 0; i < s->nr_devs; i++) {
		struct session_dev *sd = &s->devs[i];
		struct zerofs_dev_info di;
		int rc;

		if (!sd->known)
			continue;
		rc = kdev_dev_info(&s->kd, sd->index, &di);
		if (!rc && (di.session != s->kd.session || di.dev_id != sd->id))
			rc = -ENOENT; /* gone, and its number is somebody else's */
		if (!rc && di.openers && !force)
			continue;
		if (!rc)
			rc = kdev_del_dev(&s->kd, sd->index, force);
		if (!rc || rc == -ENOENT || rc == -ENODEV)
			sd->known = false;
		else if (!first)
			first = fail(err, rc, "/dev/zerofs%u cannot be removed: %s", sd->index,
				     strerror(-rc));
	}
	return first;
}

int session_quiesce(struct session *s)
{
	struct host *h = s->host;
	int rc = 0;

	for (uint32_t i = 0; i < s->nr_rings; i++)
		ring_stop(s->rings[i]);
	core_lock(&h->core);
	for (uint32_t i = 0; i < s->nr_rings && !rc; i++) {
		while (ring_inflight(s->rings[i])) {
			if (h->stop) {
				rc = -EINTR;
				break;
			}
			core_wait(&h->core, UINT64_MAX);
		}
	}
	core_unlock(&h->core);
	for (uint32_t i = 0; i < s->nr_rings && !rc; i++)
		ring_drain(s->rings[i]);
	return rc;
}

void session_free(struct session *s)
{
	core_lock(&s->host->core);
	s->up = false;
	s->bound = false;
	s->posting = false;
	core_unlock(&s->host->core);
	for (uint32_t i = 0; i < s->nr_rings; i++)
		ring_free(s->rings[i]);
	free(s->rings);
	s->rings = NULL;
	s->nr_rings = 0;
	kdev_close(&s->kd);
	region_free(&s->region);
}
