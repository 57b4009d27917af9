// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/host.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disk_dir.h"
#include "base/jdev_uring.h"
#include "base/list.h"
#include "base/log.h"
#include "base/workq.h"
#include "store/stat.h"
#include "store/store.h"
#include "store/url.h"
#include "volume/sio.h"

#define HOST_MAX_WORKERS 4u
#define HOST_MMAP_MIN	 (128 << 10)
#define HOST_TICK_US	 1000u /* from one volume_tick() to the next, at least */

static void say(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, HOST_ERR_LEN, fmt, ap);
	va_end(ap);
}

/* ---- what the volume calls --------------------------------------------------------------- */

static int host_wait(void *ctx, const bool *done)
{
	struct host *h = ctx;

	while (!*done) {
		if (h->stop)
			return -EINTR;
		core_wait(&h->core, UINT64_MAX);
	}
	return 0;
}

static void host_post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	struct host *h = ctx;

	if (h->post_buf)
		h->post_buf(h->post_buf_ctx, id, off, len);
}

static void host_superseded(void *ctx)
{
	struct host *h = ctx;

	if (h->superseded)
		h->superseded(h->superseded_ctx);
}

static void host_notice(void *ctx, int level, const char *msg)
{
	struct host *h = ctx;
	struct host_notice *n = &h->notices[h->nr_notices++ % HOST_NOTICES];

	n->real_us = clock_real_us(h->env.clock);
	n->level = level;
	snprintf(n->text, sizeof(n->text), "%s", msg);
	if (level <= LOG_LEVEL_ERR)
		snprintf(h->last_error, sizeof(h->last_error), "%s", msg);
	n->said = h->talk || level == LOG_LEVEL_WARN;
	if (n->said)
		log_msg(level, "%s", msg);
}

/* ---- state folder (core lock held) ------------------------------------------------------- */

/* The volume passes errors on as they are: whose disk an -ENOSPC is about is known only here. */
static ssize_t state_read(struct disk *d, const char *name, void *buf, size_t len)
{
	struct host *h = container_of(d, struct host, state);
	struct disk *inner = disk_dir_disk(h->dir);
	ssize_t n = inner->ops->read(inner, name, buf, len);

	h->state_rc = n < 0 && n != -ENOENT ? (int)n : 0;
	return n;
}

static int state_replace(struct disk *d, const char *name, const void *buf, size_t len)
{
	struct host *h = container_of(d, struct host, state);
	struct disk *inner = disk_dir_disk(h->dir);

	h->state_rc = inner->ops->replace(inner, name, buf, len);
	return h->state_rc;
}

static void explain_state(const struct host *h, int rc, char *err)
{
	if (rc == -ENOSPC || rc == -EDQUOT)
		say(err,
		    "the disk that holds the state folder %s is full; make room, or name another "
		    "folder with --state-dir",
		    h->state_dir);
	else
		say(err, "cannot use the state folder %s: %s; --state-dir names another",
		    h->state_dir, strerror(-rc));
}

/* ---- timer ------------------------------------------------------------------------------- */

/* Before each unlock: the volume may want to be called sooner than the timer thinks. */
static void host_leave(void *ctx)
{
	struct host *h = ctx;

	if (h->volume && h->timer_at > h->timer_floor &&
	    volume_deadline_us(h->volume) < h->timer_at) {
		h->timer_at = 0; /* one signal is enough */
		pthread_cond_signal(&h->timer_cond);
	}
}

static void *host_timer(void *arg)
{
	struct host *h = arg;

	core_lock(&h->core);
	while (!h->timer_stop) {
		uint64_t at = volume_deadline_us(h->volume);
		uint64_t now = clock_mono_us(h->env.clock);

		if (at <= now && now >= h->timer_floor) {
			h->timer_floor = now + HOST_TICK_US;
			volume_tick(h->volume);
			/* An unlock wakes whoever waits for what was done. */
			core_unlock(&h->core);
			core_lock(&h->core);
			continue;
		}
		/* What is due and could not be done is tried again, but not as fast as we can. */
		h->timer_at = at < h->timer_floor ? h->timer_floor : at;
		at = h->timer_at;
		core_wait_on(&h->core, &h->timer_cond, clock_wake_us(h->env.clock, at));
	}
	core_unlock(&h->core);
	return NULL;
}

int host_start_timer(struct host *h, struct volume *v)
{
	int rc;

	core_lock(&h->core);
	h->volume = v;
	h->timer_at = 0; /* it looks by itself when it starts */
	core_unlock(&h->core);
	rc = pthread_create(&h->timer, NULL, host_timer, h);
	if (rc)
		return -rc;
	h->timer_runs = true;
	return 0;
}

/* ---- life -------------------------------------------------------------------------------- */

static unsigned int default_workers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > (long)HOST_MAX_WORKERS ? HOST_MAX_WORKERS : (unsigned int)n;
}

static int open_store(struct host *h, const char *url, unsigned int flags, char *err)
{
	struct store *inner;
	struct url u;
	int rc = url_parse(&u, url, err, HOST_ERR_LEN);

	if (rc)
		return rc;
	rc = url_open(&inner, &u, flags & HOST_CREATE ? URL_CREATE : 0, &h->core, h->env.clock, err,
		      HOST_ERR_LEN);
	if (rc)
		return rc;
	rc = stat_new(&h->store, inner, h->env.clock);
	if (rc) {
		store_close(inner);
		snprintf(err, HOST_ERR_LEN, "out of memory");
	}
	return rc;
}

/*
 * What a batch or a record of the journal takes goes back to the system when it is freed. By itself
 * the allocator learns to keep such pieces, which then lie about in the heaps of all threads: as
 * much again as is counted, and more.
 */
static void bound_heaps(void)
{
	mallopt(M_MMAP_THRESHOLD, HOST_MMAP_MIN);
	mallopt(M_ARENA_MAX, 2);
}

int host_new(struct host **ret, const char *url, unsigned int flags, unsigned int workers,
	     char *err)
{
	struct host *h;
	int rc;

	bound_heaps();
	h = calloc(1, sizeof(*h));
	if (!h) {
		snprintf(err, HOST_ERR_LEN, "out of memory");
		return -ENOMEM;
	}
	snprintf(h->url, sizeof(h->url), "%s", url);
	h->env.clock = clock_system();
	h->env.wait = host_wait;
	h->env.post_buf = host_post_buf;
	h->env.superseded = host_superseded;
	h->env.notice = host_notice;
	h->env.ctx = h;
	snprintf(err, HOST_ERR_LEN, "cannot start threads");
	rc = core_init(&h->core, host_leave, h);
	if (rc)
		goto err_free;
	rc = core_cond_init(&h->timer_cond);
	if (rc)
		goto err_core;
	rc = workq_new(&h->workq, &h->core, workers ? workers : default_workers(), "zerofs-work");
	if (rc)
		goto err_cond;
	rc = open_store(h, url, flags, err);
	if (rc)
		goto err_workq;
	h->env.exec = workq_exec(h->workq);
	h->env.store = h->store;
	*ret = h;
	return 0;

err_workq:
	workq_free(h->workq);
err_cond:
	pthread_cond_destroy(&h->timer_cond);
err_core:
	core_destroy(&h->core);
err_free:
	free(h);
	return rc;
}

int host_open_state(struct host *h, const char *path, char *err)
{
	static const struct disk_ops ops = { .read = state_read, .replace = state_replace };
	int pid = 0, rc;

	h->state_dir = strdup(path);
	if (!h->state_dir) {
		say(err, "out of memory");
		return -ENOMEM;
	}
	rc = disk_dir_open(&h->dir, path);
	if (!rc)
		rc = disk_dir_lock(h->dir, &pid);
	if (rc == -EBUSY && pid > 0)
		say(err, "the volume is already served on this host, by process %d", pid);
	else if (rc == -EBUSY)
		say(err, "the volume is already served on this host");
	else if (rc)
		explain_state(h, rc, err);
	if (rc) {
		disk_dir_close(h->dir);
		h->dir = NULL;
		free(h->state_dir);
		h->state_dir = NULL;
		return rc;
	}
	h->state.ops = &ops;
	h->state.where = h->state_dir;
	h->env.disk = &h->state;
	return 0;
}

int host_open_journal(struct host *h, const char *path, char *err)
{
	int rc = jdev_uring_open(&h->journal, &h->core, path);
	const char *why = strerror(-rc);

	switch (rc) {
	case 0:
		h->env.journal = h->journal;
		return 0;
	case -ENOENT:
		why = "it is not there; is its disk mounted?";
		break;
	case -ENOTBLK:
		why = "it is neither a file nor a block device";
		break;
	case -EBUSY:
		why = "another process uses it, or it is mounted";
		break;
	case -EOPNOTSUPP:
		why = "its file system cannot write past the page cache (tmpfs?); put it on a disk";
		break;
	case -ENODATA:
	case -EINVAL:
		why = "it is not a journal; 'zerofs journal create' makes one";
		break;
	}
	snprintf(err, HOST_ERR_LEN, "the journal %s cannot be used: %s", path, why);
	return rc;
}

int host_set_store(struct host *h, struct store *s)
{
	struct store *counted;
	int rc = stat_new(&counted, s, h->env.clock);

	if (rc)
		return rc;
	store_close(h->store);
	h->store = counted;
	h->env.store = counted;
	return 0;
}

void host_on_post_buf(struct host *h,
		      void (*fn)(void *ctx, uint32_t id, uint64_t off, uint32_t len), void *ctx)
{
	h->post_buf = fn;
	h->post_buf_ctx = ctx;
}

void host_on_superseded(struct host *h, void (*fn)(void *ctx), void *ctx)
{
	h->superseded = fn;
	h->superseded_ctx = ctx;
}

void host_talk(struct host *h)
{
	uint32_t from;

	core_lock(&h->core);
	from = h->nr_notices > HOST_NOTICES ? h->nr_notices - HOST_NOTICES : 0;
	for (uint32_t i = from; i < h->nr_notices && !h->talk; i++) {
		const struct host_notice *n = &h->notices[i % HOST_NOTICES];

		if (!n->said)
			log_msg(n->level, "%s", n->text);
	}
	h->talk = true;
	core_unlock(&h->core);
}

void host_interrupt(struct host *h)
{
	assert(core_held(&h->core));
	h->stop = true;
}

static bool store_idle(const struct host *h)
{
	const struct stat_counters *c = stat_get(h->store);

	for (int i = 0; i < STORE_NR_OPS; i++) {
		if (c->op[i].inflight)
			return false;
	}
	return true;
}

int host_settle(struct host *h)
{
	assert(core_held(&h->core));
	while (!store_idle(h) || workq_pending(h->workq) ||
	       (h->journal && jdev_uring_pending(h->journal))) {
		if (h->stop)
			return -EINTR;
		core_wait(&h->core, UINT64_MAX);
	}
	return 0;
}

void host_stop_timer(struct host *h)
{
	if (!h->timer_runs)
		return;
	core_lock(&h->core);
	h->timer_stop = true;
	pthread_cond_signal(&h->timer_cond);
	core_unlock(&h->core);
	pthread_join(h->timer, NULL);
	h->timer_runs = false;
}

void host_stop_threads(struct host *h)
{
	host_stop_timer(h);
	core_lock(&h->core);
	h->volume = NULL;
	core_unlock(&h->core);
	workq_free(h->workq);
	h->workq = NULL;
	store_close(h->store);
	h->store = NULL;
	jdev_close(h->journal);
	h->journal = NULL;
}

void host_free(struct host *h)
{
	if (!h)
		return;
	host_stop_threads(h);
	disk_dir_close(h->dir);
	free(h->state_dir);
	pthread_cond_destroy(&h->timer_cond);
	core_destroy(&h->core);
	free(h);
}

/* ---- words ------------------------------------------------------------------------------- */

/* In the store's own words, if it has some and the error is one of its kind. */
static bool explain_store(struct host *h, int rc, char *err)
{
	bool refused = rc == -EACCES || rc == -EPERM;
	char why[SIO_REASON_LEN] = "";

	if (!refused && rc != -EIO && rc != -ETIMEDOUT && rc != -ENOSPC)
		return false;
	core_lock(&h->core);
	if (h->store)
		store_why(h->store, why, sizeof(why));
	core_unlock(&h->core);
	if (*why)
		say(err, "the store %s: %s",
		    refused	  ? "refuses" :
		    rc == -ENOSPC ? "is full" :
				    "does not answer",
		    why);
	return *why;
}

void host_explain(struct host *h, int rc, char *err)
{
	char why[HOST_NOTICE_LEN];
	int state_rc;

	core_lock(&h->core);
	snprintf(why, sizeof(why), "%s", h->last_error);
	state_rc = h->state_rc;
	core_unlock(&h->core);
	if (state_rc && state_rc == rc) {
		explain_state(h, rc, err);
		return;
	}
	if (explain_store(h, rc, err))
		return;
	switch (rc) {
	case -EKEYREJECTED:
		say(err, "the passphrase or key file does not unlock the volume at %s", h->url);
		break;
	case -ENOENT:
		say(err, "there is no volume at %s (no keys/ in it); 'zerofs format' makes one",
		    h->url);
		break;
	case -EEXIST:
		say(err, "there is a volume at %s already; nothing was changed", h->url);
		break;
	case -ENOTEMPTY:
		say(err,
		    "%s holds the keys of a volume whose format did not end; remove them or "
		    "choose another place",
		    h->url);
		break;
	case -EBADMSG:
		if (!strncmp(why, "journal: ", 9)) {
			say(err, "the volume at %s is not served: %s", h->url, why);
			break;
		}
		say(err,
		    "the volume at %s is damaged: %s; restore the object from a copy of the store",
		    h->url, *why ? why : "an object is not what was written");
		break;
	case -ENODATA:
		say(err,
		    "the volume at %s is incomplete: %s; restore the object from a copy of the "
		    "store",
		    h->url, *why ? why : "an object that must exist is missing");
		break;
	case -ESTALE:
		say(err, "the volume at %s is not served: %s", h->url,
		    *why ? why :
			   "somebody newer owns it, or the store shows an older image than this "
			   "host has seen");
		break;
	case -ENOMEDIUM:
		say(err, "the volume at %s is not served: %s", h->url,
		    *why ? why : "its journal is not here");
		break;
	case -EUCLEAN:
		say(err, "the volume at %s is not served: %s", h->url,
		    *why ? why : "the journal does not go on with it");
		break;
	case -EBUSY:
		say(err,
		    "the volume at %s is in use: %s; stop it there, or take it over: --takeover",
		    h->url, *why ? why : "another host has it");
		break;
	case -EOPNOTSUPP:
		say(err,
		    "the store of %s lets a name be created twice, so it cannot keep two hosts "
		    "apart; use another store, or --unsafe-no-fencing if never more than one host "
		    "serves this volume",
		    h->url);
		break;
	case -EPROTONOSUPPORT:
		say(err,
		    "the volume at %s was made by a later version of zerofs; use that version%s%s",
		    h->url, *why ? ": " : "", why);
		break;
	case -ENOSPC:
		say(err, "the disk that holds %s is full; make room and try again", h->url);
		break;
	case -EACCES:
	case -EPERM:
		say(err, "no permission to use %s; run as root or as the owner of the store",
		    h->url);
		break;
	case -EROFS:
		say(err, "the file system that holds %s is read-only", h->url);
		break;
	case -ENOMEM:
		say(err, "out of memory%s%s", *why ? ": " : "", why);
		break;
	case -EINTR:
		say(err, "interrupted; nothing was lost");
		break;
	default:
		say(err, "the volume at %s cannot be used: %s%s%s", h->url, strerror(-rc),
		    *why ? ": " : "", why);
	}
}
