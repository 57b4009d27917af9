// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/urlvol.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "server/unlock.h"
#include "store/store.h"
#include "store/url.h"
#include "volume/keys.h"

void urlvol_failed(const char *file, int line, const char *what)
{
	fflush(stdout);
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	exit(1);
}

struct urlvol_orphan {
	struct loop_req q;
	struct urlvol_orphan *next;
};

static struct keys_secret secret(void)
{
	static const unsigned char key[32] = "a key of the tests";

	return (struct keys_secret){ KEYS_KEYFILE, key, sizeof(key) };
}

void urlvol_format(const char *url, uint64_t dev_size)
{
	struct volume_format f = { .name = "test", .nr_devs = 1, .dev_size = dev_size };
	struct keys_secret s = secret();
	char err[HOST_ERR_LEN] = "";
	struct keyring *keys;
	struct host *h;
	int rc;

	urlvol_must(sodium_init() >= 0);
	if (host_new(&h, url, 0, 1, err))
		urlvol_failed(__FILE__, __LINE__, err);
	uuid_random(f.uuid);
	core_lock(&h->core);
	rc = keys_create(&keys, &h->env, f.uuid, f.name, &s, KEYS_COST_MIN, "test");
	if (!rc)
		rc = volume_format(&h->env, keys, &f);
	core_unlock(&h->core);
	host_explain(h, rc, err);
	if (rc)
		urlvol_failed(__FILE__, __LINE__, err);
	host_stop_threads(h);
	keys_free(keys);
	host_free(h);
}

/* ---- what loop and volume call (core lock held) ------------------------------------------ */

static void sink_submit(void *ctx, struct io_req *io)
{
	volume_submit(((struct urlvol *)ctx)->volume, io);
}

static void sink_release(void *ctx, struct io_req *io)
{
	volume_release(((struct urlvol *)ctx)->volume, io);
}

static void sink_starved(void *ctx)
{
	volume_starved(((struct urlvol *)ctx)->volume);
}

static void post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	loop_post_buf(((struct urlvol *)ctx)->loop, id, off, len);
}

static void on_superseded(void *ctx)
{
	struct urlvol *u = ctx;

	u->superseded = true;
	if (!u->ending) /* the end waits for what is under way, whoever has the volume */
		host_interrupt(u->host);
	pthread_cond_signal(&u->event);
}

/* ---- life -------------------------------------------------------------------------------- */

static void *watch(void *arg)
{
	struct urlvol *u = arg;
	struct core *core = &u->host->core;
	bool lost;

	core_lock(core);
	while (!u->ending && !u->superseded)
		core_wait_on(core, &u->event, UINT64_MAX);
	lost = u->superseded;
	core_unlock(core);
	if (lost) {
		loop_stop(u->loop);
		loop_abandon(u->loop);
	}
	return NULL;
}

/* With a clock of the caller's the store goes by it, too. */
static void set_clock(struct urlvol *u, const char *url, struct clock *clock)
{
	char err[HOST_ERR_LEN] = "";
	struct store *s;
	struct url where;

	urlvol_must(!url_parse(&where, url, err, sizeof(err)));
	urlvol_must(!url_open(&s, &where, 0, &u->host->core, clock, err, sizeof(err)));
	u->host->env.clock = clock;
	urlvol_must(!host_set_store(u->host, s));
}

static int recover(struct urlvol *u, const struct volume_opts *o)
{
	const struct unlock unlock = { &u->event, &u->store_errno, &u->since_us };
	struct core *core = &u->host->core;
	struct keys_secret s = secret();
	uint64_t total, data_off;
	int rc;

	core_lock(core);
	rc = unlock_keys(u->host, &s, &unlock, &u->keys);
	if (!rc)
		urlvol_must(!volume_new(&u->volume, &u->host->env, u->keys, o));
	core_unlock(core);
	if (rc)
		return rc;
	volume_arena_size(o, &total, &data_off);
	urlvol_must(!region_make(&u->region, total));
	core_lock(core);
	urlvol_must(!volume_set_arena(u->volume, u->region.base, total, false));
	core_unlock(core);
	u->sink = (struct sink){ sink_submit, sink_release, sink_starved, NULL, u };
	urlvol_must(!loop_new(&u->loop, core, &u->sink, (char *)u->region.base + data_off,
			      total - data_off, URLVOL_QUEUES));
	urlvol_must(!host_start_timer(u->host, u->volume));
	core_lock(core);
	rc = volume_recover(u->volume, &u->rec);
	if (!rc) {
		volume_start(u->volume);
		volume_resumed(u->volume);
	}
	core_unlock(core);
	return rc;
}

/* The daemon is gone; what the store has been handed it carries out. */
static void finish(struct urlvol *u)
{
	struct host *h = u->host;

	core_lock(&h->core);
	u->ending = true;
	pthread_cond_signal(&u->event);
	core_unlock(&h->core);
	if (u->watched)
		pthread_join(u->watcher, NULL);
	host_stop_timer(h);
	core_lock(&h->core);
	h->stop = false;
	if (u->volume)
		volume_ending(u->volume);
	urlvol_must(!host_settle(h));
	core_unlock(&h->core);
	host_stop_threads(h);
	volume_free(u->volume); /* while the arena is still mapped */
	while (u->orphans) {
		struct urlvol_orphan *o = u->orphans;

		u->orphans = o->next;
		free(o);
	}
	keys_free(u->keys);
	host_free(h);
	loop_free(u->loop);
	region_free(&u->region);
	pthread_cond_destroy(&u->event);
}

int urlvol_attach(struct urlvol *u, const char *url, const char *state_dir,
		  const struct volume_opts *o, struct clock *clock)
{
	int rc;

	*u = (struct urlvol){ .region = REGION_NONE };
	urlvol_must(sodium_init() >= 0);
	urlvol_must(!core_cond_init(&u->event));
	if (host_new(&u->host, url, 0, 1, u->err))
		urlvol_failed(__FILE__, __LINE__, u->err);
	if (clock)
		set_clock(u, url, clock);
	host_on_post_buf(u->host, post_buf, u);
	host_on_superseded(u->host, on_superseded, u);
	if (host_open_state(u->host, state_dir, u->err))
		urlvol_failed(__FILE__, __LINE__, u->err);
	rc = recover(u, o);
	if (!rc) {
		urlvol_must(!pthread_create(&u->watcher, NULL, watch, u));
		u->watched = true;
		return 0;
	}
	host_explain(u->host, rc, u->err);
	finish(u);
	return rc;
}

int urlvol_io(struct urlvol *u, uint32_t queue, enum io_op op, uint8_t flags, uint64_t lba,
	      uint32_t nblocks, void *data)
{
	struct urlvol_orphan *o = calloc(1, sizeof(*o));
	int rc;

	urlvol_must(o);
	o->q.op = op;
	o->q.flags = flags;
	o->q.lba = lba;
	o->q.nblocks = nblocks;
	o->q.data = data;
	rc = loop_io(u->loop, queue, &o->q);
	core_lock(&u->host->core);
	if (u->superseded && rc)
		rc = -ESHUTDOWN; /* the engine calls what it fails then an I/O error */
	if (!o->q.finished) {
		/* The engine may keep it beyond a take-over, until it is gone itself. */
		o->next = u->orphans;
		u->orphans = o;
		o = NULL;
	}
	core_unlock(&u->host->core);
	free(o);
	return rc;
}

bool urlvol_superseded(struct urlvol *u)
{
	bool lost;

	core_lock(&u->host->core);
	lost = u->superseded;
	core_unlock(&u->host->core);
	return lost;
}

struct volume_stats urlvol_stats(struct urlvol *u)
{
	struct volume_stats st;

	core_lock(&u->host->core);
	volume_get_stats(u->volume, &st);
	core_unlock(&u->host->core);
	return st;
}

int urlvol_end(struct urlvol *u, bool clean)
{
	struct core *core = &u->host->core;
	int rc = 0;

	loop_stop(u->loop);
	core_lock(core);
	if (clean) {
		rc = u->superseded ? -ESTALE : volume_detach(u->volume);
		if (u->superseded)
			rc = -ESTALE;
	}
	core_unlock(core);
	finish(u);
	return rc;
}
