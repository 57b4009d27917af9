// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Start: harden -> host (store, threads) -> control device -> if the module has this volume,
 * without a daemon: state folder (lock), control socket, ATTACH -> keys, waited for while the store
 * is away -> else now folder, socket, CREATE or ATTACH -> arena -> volume_recover() while the
 * module holds I/O -> devices, RESUME -> ready.
 *
 * Stop (SIGTERM, SIGINT, `zerofs detach`): one FLUSH, so that what was acknowledged is in the store
 * before a device, and with the last one the module's hold on the arena, goes away -> DEL_DEV ->
 * queues stop -> volume_detach() -> close.
 *
 * Failure modes: a store that is away is waited for, before "ready" and after it. Before, every
 * other error ends the process with one sentence, and the module goes back to where it was
 * (DETACHED, grace anew).
 * Superseded, or the module and we do not understand each other: stop at once, acknowledge nothing.
 * Replaced (`serve --replace` by another process): as a stop, but devices stay, and there are two
 * limits of time: replace.h.
 * A second signal: out, at once; the arena stays with the module and the next serve adopts it.
 */
#include "server/serve.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "server/client.h"
#include "server/control.h"
#include "server/flush.h"
#include "server/host.h"
#include "server/known.h"
#include "server/notify.h"
#include "server/process.h"
#include "server/replace.h"
#include "server/report.h"
#include "server/serve_priv.h"
#include "server/unlock.h"
#include "server/watch.h"

/* A process that ends with locked memory of many gigabytes takes its time. */
#define RELEASE_TRIES	 500
#define RELEASE_PAUSE_MS 20

/* ---- events (core lock held) ------------------------------------------------------------- */

void serve_wake(void *ctx)
{
	struct serve *s = ctx;

	pthread_cond_signal(&s->event);
}

static void on_superseded(void *ctx)
{
	struct serve *s = ctx;

	s->superseded = true;
	host_interrupt(s->host);
	serve_wake(s);
}

static void set_phase(struct serve *s, const char *phase)
{
	core_lock(&s->host->core);
	s->meta.phase = phase;
	core_unlock(&s->host->core);
}

/* ---- start ------------------------------------------------------------------------------- */

static int open_keys(struct serve *s, char *err)
{
	const struct unlock u = { &s->event, &s->meta.store_errno, &s->meta.store_since_us };
	int rc;

	core_lock(&s->host->core);
	rc = unlock_keys(s->host, s->conf->secret, &u, &s->keys);
	core_unlock(&s->host->core);
	s->conf->wipe(s->conf->wipe_ctx);
	if (rc) {
		host_explain(s->host, rc, err);
		return rc;
	}
	s->lock_rc = process_lock_memory();
	return 0;
}

static void set_names(struct serve *s, const uint8_t uuid[16], const char *name)
{
	core_lock(&s->host->core);
	snprintf(s->name, sizeof(s->name), "%s", name);
	uuid_str(s->uuid, uuid);
	core_unlock(&s->host->core);
}

/* Core lock held. */
static void explain_opts(const struct serve *s, char *err)
{
	snprintf(err, HOST_ERR_LEN, "--%s",
		 *s->host->last_error ? s->host->last_error : "memory: too little");
}

static int check_opts(struct serve *s, char *err)
{
	int rc;

	core_lock(&s->host->core);
	rc = volume_opts_check(&s->host->env, &s->conf->volume);
	if (rc)
		explain_opts(s, err);
	core_unlock(&s->host->core);
	return rc;
}

static int make_volume(struct serve *s, char *err)
{
	int rc;

	core_lock(&s->host->core);
	rc = volume_new(&s->volume, &s->host->env, s->keys, &s->conf->volume);
	if (rc)
		explain_opts(s, err);
	core_unlock(&s->host->core);
	return rc;
}

/*
 * The local side: what makes this the only daemon of the volume here, before anything is written to
 * the store.
 */
static int open_local(struct serve *s, const uint8_t uuid[16], char *err)
{
	struct control *c = NULL;
	char path[4096];
	int rc;

	if (s->conf->state_dir)
		snprintf(path, sizeof(path), "%s", s->conf->state_dir);
	else
		snprintf(path, sizeof(path), "%s/%s", SERVE_STATE_DIR, s->uuid);
	/* A predecessor that has been asked to let go may be about to. */
	for (int tries = s->asked ? RELEASE_TRIES : 1;;) {
		rc = s->host->env.disk ? 0 : host_open_state(s->host, path, err);
		if (!rc && !c)
			rc = control_open(&c, CONTROL_DIR, s->name, err, HOST_ERR_LEN);
		if (!rc)
			rc = session_attach(&s->session, uuid, s->name, err);
		if ((rc != -EBUSY && rc != -EADDRINUSE) || !--tries)
			break;
		poll(NULL, 0, RELEASE_PAUSE_MS);
	}
	/* From here on it is closed at the end. */
	__atomic_store_n(&s->control, c, __ATOMIC_RELEASE);
	watch_poke(s);
	return rc;
}

static int open_journal(struct serve *s, char *err)
{
	int rc = 0;

	for (int tries = s->asked ? RELEASE_TRIES : 1; !s->host->env.journal;) {
		rc = host_open_journal(s->host, s->conf->journal, err);
		if (rc != -EBUSY || !--tries)
			break;
		poll(NULL, 0, RELEASE_PAUSE_MS);
	}
	if (!rc)
		replace_journal(s->conf->journal, s->journal);
	return rc;
}

/*
 * Has a predecessor let go. He must not for a journal that cannot be used; if it is his, he will be
 * told, and still has it open.
 */
static int replace(struct serve *s, char *err)
{
	struct replace_ask ask = {
		.dir = CONTROL_DIR,
		.name = s->name,
		.uuid = s->uuid,
		.abandon = s->conf->volume.abandon_journal,
	};
	int rc = s->conf->journal ? host_open_journal(s->host, s->conf->journal, err) : 0;

	if (rc && rc != -EBUSY)
		return rc;
	ask.busy = rc;
	replace_journal(s->conf->journal, ask.journal);
	return replace_ask(&ask, clock_mono_us(s->host->env.clock), REPLACE_PATIENCE_MS, &s->asked,
			   err);
}

/*
 * Keys and kernel: the kernel first where it has I/O for us that must not wait in vain while the
 * store is away.
 */
static int attach(struct serve *s, char *err)
{
	struct known k;
	bool early =
		!known_find(&s->session.kd, s->conf->url, s->conf->state_dir, SERVE_STATE_DIR, &k);
	const uint8_t *uuid;
	int rc = 0;

	if (early) {
		set_names(s, k.uuid, k.name);
		rc = open_local(s, k.uuid, err);
		set_phase(s, "recovering");
	}
	if (!rc)
		rc = open_keys(s, err);
	/* What it would refuse is refused before a predecessor is asked to let go. */
	if (!rc)
		rc = check_opts(s, err);
	if (rc)
		return rc;
	uuid = keys_uuid(s->keys);
	if (!early) {
		set_names(s, uuid, keys_name(s->keys));
		if (s->conf->replace)
			rc = replace(s, err);
		if (!rc)
			rc = open_local(s, uuid, err);
	} else if (memcmp(uuid, k.uuid, sizeof(k.uuid)) != 0) {
		snprintf(err, HOST_ERR_LEN,
			 "at %s is another volume than the one that was served from there, '%s', "
			 "whose devices are still here; remove them first: zerofs detach --force "
			 "%s",
			 s->conf->url, k.name, k.name);
		rc = -ESTALE;
	}
	if (rc)
		return rc;
	rc = known_save(s->host->env.disk, s->conf->url, uuid, s->name);
	if (rc)
		host_explain(s->host, rc, err);
	if (!rc && s->conf->journal)
		rc = open_journal(s, err);
	return rc ? rc : make_volume(s, err);
}

static int recover(struct serve *s, char *err)
{
	struct volume_recovery rec = { 0 };
	int rc;

	set_phase(s, "recovering");
	rc = session_begin(&s->session, s->volume, &s->conf->volume, err);
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
	rc = session_up(&s->session, &rec, err);
	if (rc)
		return rc;
	log_info("volume '%s' (%s): epoch %llu, %llu segments replayed, %u writes taken over from "
		 "memory, %llu from the journal",
		 s->name, s->uuid, (unsigned long long)rec.epoch,
		 (unsigned long long)rec.segments_replayed, rec.adopted_entries,
		 (unsigned long long)rec.journal_ops);
	log_info("flush = %s: %s", s->conf->volume.flush_local ? "local" : "store",
		 report_flush(s->conf->volume.flush_local));
	return 0;
}

static void tell_ready(struct serve *s)
{
	char line[1024];
	size_t n;

	n = (size_t)snprintf(line, sizeof(line), "serving %s as", s->name);
	for (uint32_t i = 0; i < s->session.nr_devs && n < sizeof(line) - 64; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s /dev/zerofs%u", i ? "," : "",
				      s->session.devs[i].index);
	if (s->session.lost)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " (CACHE_LOST)");
	printf("%s\n", line);
	fflush(stdout);
	if (s->conf->ready_fd >= 0) {
		line[n++] = '\n';
		(void)!write(s->conf->ready_fd, line, n);
		close(s->conf->ready_fd);
	}
	notify_send("READY=1\nSTATUS=serving");
}

static int start(struct serve *s, char *err)
{
	char warning[HOST_ERR_LEN];
	bool soft = process_harden(warning, sizeof(warning));
	int rc = host_new(&s->host, s->conf->url, 0, 0, err);

	if (rc)
		return rc;
	s->meta.started_us = clock_real_us(s->host->env.clock);
	host_on_superseded(s->host, on_superseded, s);
	rc = watch_start(s);
	if (rc) {
		snprintf(err, HOST_ERR_LEN, "cannot start a thread: %s", strerror(-rc));
		return rc;
	}
	rc = session_open(&s->session, s->host, &s->conf->session, err);
	if (rc)
		return rc;
	s->session.changed = serve_wake;
	s->session.ctx = s;
	rc = attach(s, err);
	if (!rc)
		rc = recover(s, err);
	if (rc)
		return rc;
	if (soft)
		log_warn("%s", warning);
	if (s->lock_rc)
		log_warn("memory cannot be locked (mlockall: %s): this process may be paged out",
			 strerror(-s->lock_rc));
	host_talk(s->host);
	core_lock(&s->host->core);
	s->ready = true;
	/* A signal late in the start means an orderly stop, which has to wait. */
	s->host->stop = s->superseded;
	s->meta.phase = "serving";
	core_unlock(&s->host->core);
	tell_ready(s);
	return 0;
}

/* ---- stop -------------------------------------------------------------------------------- */

/* To each of them. Without the lock. */
static void answer_all(struct client *c, json_t *answer)
{
	for (int conn; (conn = client_leave(c)) >= 0;)
		control_answer(conn, json_incref(answer));
	json_decref(answer);
}

/* Answers whoever asked for the detach, if anybody did. Without the lock. */
static void answer_client(struct serve *s, json_t *answer)
{
	struct client all;

	/* The watcher may be sending them a note. */
	if (s->watching)
		core_lock(&s->host->core);
	all = s->client;
	client_init(&s->client);
	if (s->watching)
		core_unlock(&s->host->core);
	answer_all(&all, answer);
}

/* Whether to go on with the stop; if not, serving continues. */
static bool may_stop(struct serve *s, enum serve_want want)
{
	uint32_t open;
	int rc;

	open = session_openers(&s->session);
	if (want == WANT_DETACH && open) {
		answer_client(
			s,
			control_refusal(
				"%u of the volume's devices are open (mounted, in a pool?); close "
				"them, or use --force",
				open));
		return false;
	}
	rc = flush_volume(s->host, s->volume, s->session.devs[0].id, &s->event, &s->superseded,
			  want == WANT_REPLACE ? s->until_us : UINT64_MAX);
	if (rc && rc != -EINTR) {
		log_err("the last flush failed: %s; no device is removed", strerror(-rc));
		s->keep = true;
	}
	if (s->keep && want != WANT_STOP) {
		answer_client(
			s,
			control_refusal(
				"not everything could be written to the store (%s); the volume is "
				"still served",
				strerror(-rc)));
		return false;
	}
	/* The last moment to stay. */
	if (want == WANT_REPLACE && client_gone(&s->client)) {
		log_warn("who wanted to replace this daemon has gone away; it goes on serving");
		answer_client(s, NULL);
		return false;
	}
	return true;
}

/*
 * Everything acknowledged is in the store; no further request is taken. 0, or -errno with a
 * sentence in @err: what is missing is still in the arena, which the module keeps as long as a
 * device is there.
 */
static int drain(struct serve *s, enum serve_want want, char *err)
{
	int rc;

	set_phase(s, "draining");
	notify_send("STOPPING=1\nSTATUS=writing everything to the store");
	if (want != WANT_NOTHING && want != WANT_REPLACE && !s->keep &&
	    session_remove(&s->session, want == WANT_DETACH_FORCE, err))
		log_warn("%s", err);
	for (uint32_t i = 0; i < s->session.nr_devs; i++)
		s->left += s->session.devs[i].known;
	if (want != WANT_NOTHING && want != WANT_REPLACE && s->left)
		log_warn("%u devices are open and stay: I/O to them waits for the next serve until "
			 "grace ends",
			 s->left);
	if (want == WANT_REPLACE) {
		core_lock(&s->host->core);
		s->hurry_us = clock_mono_us(s->host->env.clock) + REPLACE_DRAIN_US;
		core_unlock(&s->host->core);
		watch_poke(s);
	}
	rc = session_quiesce(&s->session);
	if (!rc) {
		core_lock(&s->host->core);
		if (want == WANT_REPLACE)
			volume_ending(s->volume);
		rc = want == WANT_REPLACE ? volume_drain(s->volume) : volume_detach(s->volume);
		if (!rc)
			rc = host_settle(s->host);
		core_unlock(&s->host->core);
	}
	if (rc)
		snprintf(err, HOST_ERR_LEN, "not everything could be written to the store: %s; %s",
			 strerror(-rc),
			 want == WANT_REPLACE ? "the process that takes over has it in memory" :
						"serve the volume again to go on");
	return rc;
}

/* Waits until something wants the daemon to end. */
static enum serve_want wait_for_end(struct serve *s, bool *ret_broken)
{
	enum serve_want want;

	core_lock(&s->host->core);
	while (s->want == WANT_NOTHING && !s->superseded && !s->session.broken &&
	       s->session.live_rings)
		core_wait_on(&s->host->core, &s->event, UINT64_MAX);
	want = s->want;
	*ret_broken = s->session.broken;
	core_unlock(&s->host->core);
	return want;
}

static void go_on_serving(struct serve *s)
{
	struct client late; /* who joined when the others had been answered */

	s->keep = false;
	core_lock(&s->host->core);
	s->want = WANT_NOTHING;
	s->meta.phase = "serving";
	late = s->client;
	client_init(&s->client);
	core_unlock(&s->host->core);
	answer_all(&late, control_refusal("the volume is still served; try again"));
}

static bool is_superseded(struct serve *s)
{
	bool yes;

	core_lock(&s->host->core);
	yes = s->superseded;
	core_unlock(&s->host->core);
	return yes;
}

/*
 * Another host owns the volume: every device fails from here on. Nothing is written, nothing is
 * answered.
 */
static _Noreturn void end_superseded(struct serve *s)
{
	int rc = kdev_supersede(&s->session.kd);

	set_phase(s, "superseded");
	if (rc)
		log_err("the module does not take SUPERSEDE: %s", strerror(-rc));
	log_err("SUPERSEDED: another host has taken the volume '%s' over; all I/O here fails; "
		"unmount, then run: zerofs detach --force %s",
		s->name, s->name);
	answer_client(s, control_refusal("another host has taken the volume over"));
	watch_stop(s);
	control_close(s->control);
	_exit(SERVE_SUPERSEDED);
}

static int main_loop(struct serve *s, char *err)
{
	enum serve_want want;
	uint32_t state;
	bool broken;
	int rc;

	for (;;) {
		want = wait_for_end(s, &broken);
		if (is_superseded(s))
			end_superseded(s);
		if (broken) {
			/*
			 * What we know of the requests in flight is worth nothing: the next daemon
			 * gets them again.
			 */
			log_err("the module and this daemon do not understand each other "
				"(protocol error); stopping at once");
			watch_stop(s);
			control_close(s->control);
			_exit(SERVE_FAILED);
		}
		if (want == WANT_NOTHING || may_stop(s, want))
			break;
		go_on_serving(s);
	}
	if (is_superseded(s))
		end_superseded(s);
	state = kdev_state(&s->session.kd);
	rc = drain(s, want, err);
	if (is_superseded(s))
		end_superseded(s);
	if (want == WANT_NOTHING && state == ZEROFS_S_FAILED && !rc) {
		snprintf(err, HOST_ERR_LEN,
			 "the volume was failed by an administrator; everything is in the store; "
			 "serve it again to bring it back");
		return SERVE_FAILED;
	}
	return rc ? SERVE_FAILED : SERVE_OK;
}

/* After start() or main_loop(): gives everything back, as far as it came. */
static void finish(struct serve *s)
{
	if (s->host) {
		/* Requests under way name memory that is freed below: no new ones. */
		host_stop_timer(s->host);
		core_lock(&s->host->core);
		/*
		 * nor is anybody told of a take-over, who would stop the wait for what is under way
		 */
		host_on_superseded(s->host, NULL, NULL);
		s->host->stop = false;
		if (s->volume)
			volume_ending(s->volume);
		host_settle(s->host);
		core_unlock(&s->host->core);
	}
	/* It reports from what is freed below; a second signal is of use only up to here. */
	watch_stop(s);
	if (s->host) {
		host_stop_threads(s->host);
		volume_free(s->volume); /* while the arena is still mapped */
		if (s->session.host)
			session_free(&s->session);
	}
	keys_free(s->keys);
	control_close(s->control);
	host_free(s->host);
	pthread_cond_destroy(&s->event);
}

/* The answer to a detach before there was anything to detach. */
static json_t *end_early(const struct serve *s)
{
	if (!s->session.attached)
		return json_pack("{s:b, s:i}", "ok", 1, "left", 0);
	return control_refusal(
		"the daemon had not come up yet and has ended; the devices are as they "
		"were before: I/O to them waits for the next serve until grace ends");
}

int serve_run(const struct serve_conf *conf, char *err)
{
	struct serve *s = calloc(1, sizeof(*s));
	char why[HOST_ERR_LEN] = "";
	bool interrupted = false;
	int status;

	if (!s || core_cond_init(&s->event)) {
		free(s);
		snprintf(err, HOST_ERR_LEN, "out of memory");
		return SERVE_FAILED;
	}
	s->conf = conf;
	client_init(&s->client);
	s->hurry_us = UINT64_MAX;
	s->sigfd = -1;
	s->wakefd = -1;
	s->session.kd.fd = -1;
	s->meta = (struct report_meta){
		.url = conf->url,
		.name = s->name,
		.uuid = s->uuid,
		.by = "module",
		.phase = "starting",
		.flush_local = conf->volume.flush_local,
	};
	if (start(s, why)) {
		status = SERVE_FAILED;
		if (s->host) {
			core_lock(&s->host->core);
			interrupted = s->host->stop;
			core_unlock(&s->host->core);
		}
		if (interrupted)
			goto out; /* requests may hang in the store: the exit ends them */
	} else {
		status = main_loop(s, why);
		if (status != SERVE_OK)
			goto out; /* likewise */
	}
	finish(s);
	if (status == SERVE_OK) {
		log_info(s->want == WANT_REPLACE ? "replaced by another process" :
						   "stopped; everything is in the store");
		answer_client(s, json_pack("{s:b, s:i}", "ok", 1, "left", (int)s->left));
	}
	free(s);
	snprintf(err, HOST_ERR_LEN, "%s", why);
	return status;

out:
	if (s->want == WANT_REPLACE && status == SERVE_FAILED && !interrupted) {
		/* In time is not to be had. Who asked takes the rest over, as after a kill. */
		log_warn("%s", why);
		status = SERVE_OK;
		answer_client(s, json_pack("{s:b}", "ok", 1));
	}
	watch_stop(s); /* nobody joins any more */
	answer_client(s, status == SERVE_FAILED && interrupted ? end_early(s) :
								 control_refusal("%s", why));
	control_close(s->control);
	snprintf(err, HOST_ERR_LEN, "%s", why);
	return status;
}
