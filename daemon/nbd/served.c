// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: the thread opens host, keys, state folder (lock), journal and volume, as `zerofs
 * serve` does, with a fresh arena in memory of its own, recovers, and offers transport/loop to the
 * callers. They copy what they write into the arena, and out of it what they read.
 *
 * Failure modes: superseded: nothing is acknowledged any more, what waits ends with -ESHUTDOWN and
 * so does all that follows, until served_stop(). The engine still has the requests it held, so
 * these are kept for it until it is gone.
 */
#include "nbd/served.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "nbd/answer.h"
#include "server/host.h"
#include "server/process.h"
#include "server/region.h"
#include "server/serve.h"
#include "server/unlock.h"
#include "transport/kdev.h"
#include "transport/loop.h"
#include "transport/sink.h"
#include "volume/keys.h"

#define MAX_BYTES     ((uint64_t)IO_MAX_BLOCKS << IO_BLOCK_SHIFT)
#define MAX_NO_DATA   (1ull << (20 + IO_BLOCK_SHIFT)) /* of one DISCARD or WRITE_ZEROES */
#define PIECES	      8u /* of one request that are under way at a time */
#define MAX_SESSIONS  256u /* of the module that are looked at */
#define EXTENTS_SPARE 4u /* beyond two for each queue, as server/session.c has it */

struct request {
	struct loop_req q;
	struct request *next; /* among the orphans */
};

struct served {
	const struct served_conf *conf;
	pthread_t thread;

	/* Guarded by @lock. */
	pthread_mutex_t lock;
	bool ready; /* start() is through, with @rc and @err */
	int rc;
	char err[HOST_ERR_LEN];
	bool interrupted;

	struct host *host; /* set under @lock */
	pthread_cond_t event; /* one of the next two has changed */
	bool superseded; /* core lock */
	bool stop; /* core lock */

	struct keyring *keys;
	char uuid[UUID_STR_LEN];
	struct answer *answer; /* NULL: nobody is told anything */
	struct volume *volume;
	struct region region;
	struct loop *loop;
	struct sink sink;
	struct volume_dev devs[VOLUME_MAX_DEVS];
	uint32_t nr_devs;
	struct request *orphans; /* that the engine holds and nobody waits for; core lock */
	uint32_t next_queue; /* atomic: threads get one in turn */
	int store_errno;
	uint64_t since_us;
};

static _Thread_local uint32_t my_queue; /* + 1 */

/* ---- what loop and volume call (core lock held) ------------------------------------------ */

static void sink_submit(void *ctx, struct io_req *io)
{
	volume_submit(((struct served *)ctx)->volume, io);
}

static void sink_release(void *ctx, struct io_req *io)
{
	volume_release(((struct served *)ctx)->volume, io);
}

static void sink_starved(void *ctx)
{
	volume_starved(((struct served *)ctx)->volume);
}

static void post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	loop_post_buf(((struct served *)ctx)->loop, id, off, len);
}

static void on_superseded(void *ctx)
{
	struct served *s = ctx;

	s->superseded = true;
	host_interrupt(s->host);
	pthread_cond_signal(&s->event);
}

/* ---- start ------------------------------------------------------------------------------- */

static int explain_opts(struct served *s, int rc, char *err)
{
	if (rc)
		snprintf(err, HOST_ERR_LEN, "--%s",
			 *s->host->last_error ? s->host->last_error : "memory: too little");
	return rc;
}

static int open_keys(struct served *s, char *err)
{
	const struct unlock u = { &s->event, &s->store_errno, &s->since_us };
	int rc, locked;

	core_lock(&s->host->core);
	rc = unlock_keys(s->host, s->conf->secret, &u, &s->keys);
	core_unlock(&s->host->core);
	s->conf->wipe(s->conf->wipe_ctx);
	if (rc) {
		host_explain(s->host, rc, err);
		return rc;
	}
	locked = process_lock_memory();
	if (locked)
		log_warn("memory cannot be locked (mlockall: %s): this process may be paged out",
			 strerror(-locked));
	core_lock(&s->host->core);
	rc = explain_opts(s, volume_opts_check(&s->host->env, &s->conf->volume), err);
	core_unlock(&s->host->core);
	return rc;
}

/*
 * A volume that the module has, with or without a daemon, is the module's: what it holds was
 * acknowledged and would not be in what is served here.
 */
static int check_module(const struct served *s, char *err)
{
	uint32_t ids[MAX_SESSIONS];
	struct kdev kd;
	int n, rc = 0;

	if (kdev_open(&kd))
		return 0;
	n = kdev_list(&kd, ZEROFS_LIST_SESSIONS, 0, ids, MAX_SESSIONS);
	for (int i = 0; i < n && i < (int)MAX_SESSIONS && !rc; i++) {
		struct zerofs_session_info si;

		if (!kdev_session_info(&kd, ids[i], &si) &&
		    !memcmp(si.uuid, keys_uuid(s->keys), sizeof(si.uuid)))
			rc = -EBUSY;
	}
	if (rc)
		snprintf(err, HOST_ERR_LEN,
			 "the volume '%s' has devices on this host; see: zerofs list",
			 keys_name(s->keys));
	kdev_close(&kd);
	return rc;
}

static int open_local(struct served *s, char *err)
{
	char path[4096], id[UUID_STR_LEN];
	int rc;

	if (s->conf->state_dir)
		snprintf(path, sizeof(path), "%s", s->conf->state_dir);
	else
		snprintf(path, sizeof(path), "%s/%s", SERVE_STATE_DIR,
			 uuid_str(id, keys_uuid(s->keys)));
	rc = host_open_state(s->host, path, err);
	if (!rc)
		rc = check_module(s, err);
	if (!rc && s->conf->journal)
		rc = host_open_journal(s->host, s->conf->journal, err);
	if (rc)
		return rc;
	core_lock(&s->host->core);
	rc = explain_opts(s, volume_new(&s->volume, &s->host->env, s->keys, &s->conf->volume), err);
	core_unlock(&s->host->core);
	return rc;
}

static int make_arena(struct served *s, uint64_t *ret_data_off, char *err)
{
	uint64_t total;
	int rc;

	volume_arena_size(&s->conf->volume, &total, ret_data_off);
	rc = region_make(&s->region, total);
	if (!rc) {
		core_lock(&s->host->core);
		rc = volume_set_arena(s->volume, s->region.base, total, false);
		core_unlock(&s->host->core);
	}
	if (rc == -ENOMEM)
		snprintf(err, HOST_ERR_LEN,
			 "not enough memory for --memory %" PRIu64 "M; give less",
			 s->conf->volume.memory >> 20);
	else if (rc)
		snprintf(err, HOST_ERR_LEN, "cannot set up the memory: %s", strerror(-rc));
	return rc;
}

/* Every queue holds on to an extent, and one more has to go round. */
static uint32_t fit_queues(struct served *s)
{
	struct volume_stats st;
	uint64_t fit;

	volume_get_stats(s->volume, &st);
	fit = st.bufs_total > EXTENTS_SPARE ? (st.bufs_total - EXTENTS_SPARE) / 2 : 1;
	return fit < s->conf->volume.write_queues ? fit ? (uint32_t)fit : 1 :
						    s->conf->volume.write_queues;
}

/* Core lock held. */
static int open_loop(struct served *s, uint64_t data_off, char *err)
{
	const struct volume_dev *d;
	int rc;

	s->nr_devs = volume_devices(s->volume, &d);
	if (!s->nr_devs || s->nr_devs > VOLUME_MAX_DEVS) {
		snprintf(err, HOST_ERR_LEN, "the volume has %u devices, of 1 to %u", s->nr_devs,
			 VOLUME_MAX_DEVS);
		s->nr_devs = 0;
		return -EBADMSG;
	}
	memcpy(s->devs, d, s->nr_devs * sizeof(*d));
	s->sink = (struct sink){ sink_submit, sink_release, sink_starved, NULL, s };
	rc = loop_new(&s->loop, &s->host->core, &s->sink, (char *)s->region.base + data_off,
		      s->region.total - data_off, fit_queues(s));
	if (rc) {
		snprintf(err, HOST_ERR_LEN, "out of memory");
		return rc;
	}
	volume_start(s->volume);
	/* Nobody here knows more than was recovered. */
	volume_resumed(s->volume);
	return 0;
}

static int recover(struct served *s, char *err)
{
	struct volume_recovery rec = { 0 };
	uint64_t data_off;
	int rc = make_arena(s, &data_off, err);

	if (rc)
		return rc;
	rc = host_start_timer(s->host, s->volume);
	if (rc) {
		snprintf(err, HOST_ERR_LEN, "cannot start a thread: %s", strerror(-rc));
		return rc;
	}
	core_lock(&s->host->core);
	rc = volume_recover(s->volume, &rec);
	core_unlock(&s->host->core);
	if (rc) {
		host_explain(s->host, rc, err);
		return rc;
	}
	core_lock(&s->host->core);
	rc = open_loop(s, data_off, err);
	core_unlock(&s->host->core);
	if (!rc)
		log_info("volume '%s': epoch %" PRIu64 ", %" PRIu64 " segments replayed, %" PRIu64
			 " writes taken over from the journal; flush = %s",
			 keys_name(s->keys), rec.epoch, rec.segments_replayed, rec.journal_ops,
			 s->conf->volume.flush_local ? "local" : "store");
	return rc;
}

/* Not being asked is no reason not to serve. */
static void begin_answers(struct served *s)
{
	const struct answer_conf conf = {
		.host = s->host,
		.volume = s->volume,
		.url = s->conf->url,
		.name = keys_name(s->keys),
		.uuid = uuid_str(s->uuid, keys_uuid(s->keys)),
		.flush_local = s->conf->volume.flush_local,
		.superseded = &s->superseded,
		.stop = &s->stop,
	};
	char err[HOST_ERR_LEN];

	if (answer_start(&s->answer, &conf, err, sizeof(err)))
		log_warn("zerofs status and stats cannot ask this server: %s", err);
}

static int start(struct served *s, char *err)
{
	char warning[HOST_ERR_LEN];
	struct host *h;
	int rc;

	if (process_harden(warning, sizeof(warning)))
		log_warn("%s", warning);
	rc = host_new(&h, s->conf->url, 0, 0, err);
	if (rc) {
		s->conf->wipe(s->conf->wipe_ctx);
		return rc;
	}
	host_on_post_buf(h, post_buf, s);
	host_on_superseded(h, on_superseded, s);
	pthread_mutex_lock(&s->lock);
	s->host = h;
	h->stop = s->interrupted;
	pthread_mutex_unlock(&s->lock);
	rc = open_keys(s, err);
	if (!rc)
		rc = open_local(s, err);
	if (!rc)
		rc = recover(s, err);
	if (!rc) {
		host_talk(h);
		begin_answers(s);
	}
	return rc;
}

/* ---- end --------------------------------------------------------------------------------- */

/* Waits for the end; meanwhile nothing happens but that another host may take over. */
static void watch(struct served *s)
{
	struct core *core = &s->host->core;
	bool lost;

	core_lock(core);
	while (!s->stop && !s->superseded)
		core_wait_on(core, &s->event, UINT64_MAX);
	lost = s->superseded;
	core_unlock(core);
	if (!lost)
		return;
	loop_stop(s->loop);
	loop_abandon(s->loop);
	log_err("SUPERSEDED: another host has taken the volume '%s' over; all I/O here fails; "
		"stop this server",
		keys_name(s->keys));
	core_lock(core);
	while (!s->stop)
		core_wait_on(core, &s->event, UINT64_MAX);
	core_unlock(core);
}

static int drain(struct served *s, char *err)
{
	struct core *core = &s->host->core;
	int rc;

	loop_stop(s->loop);
	core_lock(core);
	rc = s->superseded ? -ESTALE : 0;
	s->host->stop = !!rc;
	if (!rc)
		rc = volume_detach(s->volume);
	if (s->superseded)
		rc = -ESTALE;
	core_unlock(core);
	if (rc == -ESTALE)
		snprintf(err, HOST_ERR_LEN, "another host has taken the volume over");
	else if (rc)
		snprintf(err, HOST_ERR_LEN,
			 "not everything could be written to the store: %s; serve the volume "
			 "again to go on",
			 strerror(-rc));
	else
		log_info("stopped; everything is in the store");
	return rc;
}

/* Gives everything back, as far as it came. */
static void finish(struct served *s)
{
	struct host *h = s->host;

	if (!h)
		return;
	answer_stop(s->answer);
	host_stop_timer(h);
	core_lock(&h->core);
	/* a take-over that is noticed now would stop the wait for what is under way */
	host_on_superseded(h, NULL, NULL);
	h->stop = false;
	if (s->volume)
		volume_ending(s->volume);
	host_settle(h);
	core_unlock(&h->core);
	host_stop_threads(h);
	volume_free(s->volume); /* while the arena is still mapped */
	while (s->orphans) {
		struct request *r = s->orphans;

		s->orphans = r->next;
		free(r);
	}
	loop_free(s->loop);
	region_free(&s->region);
	keys_free(s->keys);
	pthread_mutex_lock(&s->lock);
	s->host = NULL;
	pthread_mutex_unlock(&s->lock);
	host_free(h);
}

static void *run(void *arg)
{
	struct served *s = arg;
	char err[HOST_ERR_LEN] = "";
	int rc = start(s, err);
	bool hurry;

	pthread_mutex_lock(&s->lock);
	hurry = s->interrupted;
	if (!rc) {
		/* An interruption late in the start means an orderly end, which has to wait. */
		core_lock(&s->host->core);
		s->host->stop = s->superseded;
		core_unlock(&s->host->core);
	}
	if (rc && !hurry) {
		pthread_mutex_unlock(&s->lock);
		finish(s);
		pthread_mutex_lock(&s->lock);
	}
	s->ready = true;
	s->rc = rc;
	snprintf(s->err, sizeof(s->err), "%s", err);
	pthread_mutex_unlock(&s->lock);
	if (rc)
		return NULL; /* interrupted: requests may hang in the store, the exit ends them */
	watch(s);
	s->rc = drain(s, s->err);
	finish(s);
	return NULL;
}

int served_start(struct served **ret, const struct served_conf *conf)
{
	struct served *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->conf = conf;
	s->region = REGION_NONE;
	pthread_mutex_init(&s->lock, NULL);
	rc = core_cond_init(&s->event);
	if (!rc) {
		rc = -pthread_create(&s->thread, NULL, run, s);
		if (rc)
			pthread_cond_destroy(&s->event);
	}
	if (rc) {
		pthread_mutex_destroy(&s->lock);
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

bool served_ready(struct served *s, int *ret_rc, char *err)
{
	bool ready;

	pthread_mutex_lock(&s->lock);
	ready = s->ready;
	*ret_rc = s->rc;
	snprintf(err, HOST_ERR_LEN, "%s", s->err);
	pthread_mutex_unlock(&s->lock);
	return ready;
}

void served_interrupt(struct served *s)
{
	pthread_mutex_lock(&s->lock);
	s->interrupted = true;
	if (s->host && !s->ready) {
		core_lock(&s->host->core);
		host_interrupt(s->host);
		pthread_cond_signal(&s->event);
		core_unlock(&s->host->core);
	}
	pthread_mutex_unlock(&s->lock);
}

uint32_t served_devices(const struct served *s, const struct volume_dev **ret)
{
	*ret = s->devs;
	return s->nr_devs;
}

int served_stop(struct served *s, char *err)
{
	int rc;

	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (s->host) {
		core_lock(&s->host->core);
		s->stop = true;
		pthread_cond_signal(&s->event);
		core_unlock(&s->host->core);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	rc = s->rc;
	snprintf(err, HOST_ERR_LEN, "%s", s->err);
	if (s->host)
		return rc; /* interrupted while it came up: it is left as it is */
	pthread_cond_destroy(&s->event);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return rc;
}

/* ---- requests ---------------------------------------------------------------------------- */

static uint32_t queue_of(struct served *s)
{
	if (!my_queue)
		my_queue = __atomic_fetch_add(&s->next_queue, 1, __ATOMIC_RELAXED) % UINT16_MAX + 1;
	return my_queue - 1;
}

/* Its answer; frees it unless the engine will never give it back. */
static int reap(struct served *s, struct request *r)
{
	int rc = loop_wait(&r->q);
	bool held = false;

	if (rc) {
		core_lock(&s->host->core);
		held = !r->q.finished;
		if (held) {
			r->next = s->orphans;
			s->orphans = r;
		}
		if (s->superseded)
			rc = -ESHUTDOWN; /* the engine calls what it fails then an I/O error */
		core_unlock(&s->host->core);
	}
	if (!held)
		free(r);
	return rc;
}

/*
 * READs go one at a time: an answer holds on to cache until it is copied, and who waits for another
 * must not.
 */
int served_io(struct served *s, uint32_t dev, enum io_op op, uint8_t flags, uint64_t off,
	      uint64_t len, void *data)
{
	uint64_t most = op == IO_READ || op == IO_WRITE ? MAX_BYTES : MAX_NO_DATA;
	uint32_t window = op == IO_READ ? 1 : PIECES, head = 0, tail = 0;
	struct request *flying[PIECES];
	uint64_t at = 0;
	int rc = 0;

	if ((off | len) % IO_BLOCK_SIZE || (op == IO_FLUSH) != !len)
		return -EINVAL;
	do {
		uint64_t n = len - at < most ? len - at : most;
		struct request *r = malloc(sizeof(*r));
		int err = 0;

		if (r) {
			struct loop_req *q = &r->q;

			q->op = (uint8_t)op;
			q->flags = flags;
			q->dev = dev;
			q->lba = (off + at) >> IO_BLOCK_SHIFT;
			q->nblocks = (uint32_t)(n >> IO_BLOCK_SHIFT);
			q->data = data ? (char *)data + at : NULL;
			loop_submit(s->loop, queue_of(s), q);
			flying[head++ % PIECES] = r;
		} else {
			err = -ENOMEM;
		}
		at += n;
		while (head != tail && (err || rc || at == len || head - tail == window)) {
			int one = reap(s, flying[tail++ % PIECES]);

			rc = rc ? rc : one;
		}
		rc = rc ? rc : err;
	} while (at < len && !rc);
	return rc;
}
