// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/client.h"
#include "server/control.h"
#include "server/host.h"
#include "server/replace.h"
#include "server/report.h"
#include "server/serve_priv.h"

static void on_signal(struct serve *s)
{
	struct signalfd_siginfo si;
	bool hurry = false;

	if (read(s->sigfd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	core_lock(&s->host->core);
	if (s->want == WANT_NOTHING && s->ready) {
		s->want = WANT_STOP;
		log_info("signal %u: writing everything to the store; once more to stop at once",
			 si.ssi_signo);
	} else if (!s->ready && s->want == WANT_NOTHING) {
		s->want = WANT_STOP;
		host_interrupt(s->host);
	} else {
		hurry = true;
	}
	serve_wake(s);
	core_unlock(&s->host->core);
	if (hurry) {
		log_warn("signal %u again: stopping at once; what is not in the store yet stays in "
			 "memory for the next serve",
			 si.ssi_signo);
		_exit(SERVE_FAILED);
	}
}

/* Without the core lock: the module may sleep. */
static json_t *on_read_only(struct serve *s, const json_t *req)
{
	const char *device = json_string_value(json_object_get(req, "device"));
	bool ready;
	int rc;

	core_lock(&s->host->core);
	ready = s->ready && s->want == WANT_NOTHING;
	core_unlock(&s->host->core);
	if (!device || !ready)
		return control_refusal("%s", device ? "the daemon is coming up or stopping" :
						      "which device?");
	rc = session_set_ro(&s->session, device, json_is_true(json_object_get(req, "on")));
	if (rc == -ENODEV || rc == -ENOENT)
		return control_refusal("the volume has no device '%s'; see: zerofs device list %s",
				       device, s->name);
	return rc ? control_refusal("the module refuses: %s", strerror(-rc)) :
		    json_pack("{s:b}", "ok", 1);
}

/* Core lock held. What is wrong with the request, or NULL: the main thread will answer. */
static json_t *on_replace(struct serve *s, int conn, const json_t *req)
{
	const char *uuid = json_string_value(json_object_get(req, "uuid"));
	uint64_t now = clock_mono_us(s->host->env.clock), until;
	json_t *refusal;

	until = (uint64_t)json_integer_value(json_object_get(req, "until_us"));
	if (!uuid || strcmp(uuid, s->uuid) != 0)
		return control_refusal("it serves another volume of that name, %s", s->uuid);
	if (!s->ready || s->want != WANT_NOTHING)
		return control_refusal("it is coming up or stopping");
	/* Read late: who asked may have given up, and nobody would serve. */
	if (now >= until || until - now > REPLACE_ASK_US)
		return control_refusal("the request is too old");
	refusal = replace_check_journal(s->journal, s->conf->journal, req);
	if (refusal)
		return refusal;
	if (!client_take(&s->client, conn, false, now))
		return control_refusal("it is stopping");
	s->want = WANT_REPLACE;
	s->until_us = until;
	serve_wake(s);
	return NULL;
}

/* Who asks again, after an interrupt or from elsewhere, waits for what is under way. */
static json_t *on_detach(struct serve *s, int conn, const json_t *req)
{
	if (s->want == WANT_REPLACE)
		return control_refusal("another process is taking the volume over");
	if (!client_take(&s->client, conn, json_is_true(json_object_get(req, "notes")),
			 clock_mono_us(s->host->env.clock)))
		return control_refusal("%u others wait for that already", CLIENT_MAX);
	if (s->want != WANT_NOTHING)
		return NULL;
	s->want = json_is_true(json_object_get(req, "force")) ? WANT_DETACH_FORCE : WANT_DETACH;
	if (!s->ready)
		host_interrupt(s->host);
	serve_wake(s);
	return NULL;
}

/*
 * Somebody has changed the keys: reads them, and says how far that has come. Core lock held. Says
 * "other" if this is not the volume that is meant.
 */
static json_t *on_keys(struct serve *s, const json_t *req)
{
	const char *uuid = json_string_value(json_object_get(req, "uuid"));
	json_int_t version = json_integer_value(json_object_get(req, "version"));
	struct volume_keys k;

	if (!uuid || version < 1)
		return control_refusal("which keys?");
	if (strcmp(uuid, s->uuid) != 0)
		return json_pack("{s:b, s:b}", "ok", 1, "other", 1);
	if (!s->ready || s->want != WANT_NOTHING)
		return control_refusal("it is coming up or stopping");
	volume_rekey(s->volume, (uint64_t)version, &k);
	if (k.err)
		return control_refusal("the new keys object cannot be used: %s", strerror(-k.err));
	return json_pack("{s:b, s:I, s:I, s:i}", "ok", 1, "keys_version", (json_int_t)k.version,
			 "in_head", (json_int_t)k.in_head, "data_key", (int)k.data_gen);
}

/* Answers at once, or keeps the connection for the main thread and returns NULL. */
static json_t *on_request(struct serve *s, int conn, const char *op, const json_t *req)
{
	json_t *answer;
	bool kept = false;

	if (!strcmp(op, "read-only"))
		return on_read_only(s, req);
	core_lock(&s->host->core);
	if (!strcmp(op, "status")) {
		answer = report_status(&s->session, &s->meta);
	} else if (!strcmp(op, "stats")) {
		answer = report_stats(&s->session, &s->meta);
	} else if (!strcmp(op, "keys")) {
		answer = on_keys(s, req);
	} else if (!strcmp(op, "detach")) {
		answer = on_detach(s, conn, req);
		kept = !answer;
	} else if (!strcmp(op, "replace")) {
		answer = on_replace(s, conn, req);
		kept = !answer;
	} else {
		answer = control_refusal("this daemon does not know the request '%s'", op);
	}
	core_unlock(&s->host->core);
	return answer || kept ? answer : control_refusal("the daemon is out of memory");
}

static void on_connection(struct serve *s, struct control *c)
{
	const char *op;
	json_t *req, *answer;
	int conn;
	int rc = control_accept(c, &conn, &req);

	/* What waits to be accepted would wake us again at once. */
	if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS)
		poll(NULL, 0, 100);
	if (rc)
		return;
	op = json_string_value(json_object_get(req, "op"));
	answer = on_request(s, conn, op ? op : "", req);
	if (answer)
		control_answer(conn, answer);
	json_decref(req);
}

/* Tells who waits for a detach what it waits for. In how many ms to look again, -1: no need. */
static int look_after_client(struct serve *s)
{
	struct volume_stats st;
	int ms = -1;

	core_lock(&s->host->core);
	if (client_waits(&s->client) && s->ready) {
		volume_get_stats(s->volume, &st);
		client_look(&s->client, &st, clock_mono_us(s->host->env.clock));
		ms = CLIENT_LOOK_MS;
	}
	core_unlock(&s->host->core);
	return ms;
}

/* Ends all waits when it is time to. How long poll() may sleep, in ms. */
static int look_at_clock(struct serve *s)
{
	uint64_t now, left;

	core_lock(&s->host->core);
	now = clock_mono_us(s->host->env.clock);
	left = s->hurry_us > now ? s->hurry_us - now : 0;
	if (!left) {
		host_interrupt(s->host);
		s->hurry_us = UINT64_MAX;
		serve_wake(s);
	}
	left = s->hurry_us == UINT64_MAX ? UINT64_MAX : left;
	core_unlock(&s->host->core);
	return left == UINT64_MAX ? -1 : (int)(left / 1000) + 1;
}

/* For poll(). */
static int how_long(struct serve *s)
{
	int a = look_after_client(s), b = look_at_clock(s);

	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void *watcher_thread(void *arg)
{
	struct serve *s = arg;
	struct control *c = NULL;

	while (!__atomic_load_n(&s->watch_end, __ATOMIC_ACQUIRE)) {
		struct pollfd p[3] = {
			{ .fd = s->sigfd, .events = POLLIN },
			{ .fd = s->wakefd, .events = POLLIN },
			{ .fd = c ? control_fd(c) : -1, .events = POLLIN },
		};
		uint64_t n;

		if (poll(p, 3, how_long(s)) < 0)
			continue;
		if (p[0].revents)
			on_signal(s);
		if (p[1].revents && read(s->wakefd, &n, sizeof(n)) == (ssize_t)sizeof(n))
			c = __atomic_load_n(&s->control, __ATOMIC_ACQUIRE);
		if (p[2].revents)
			on_connection(s, c);
	}
	return NULL;
}

void watch_poke(struct serve *s)
{
	uint64_t one = 1;

	(void)!write(s->wakefd, &one, sizeof(one));
}

int watch_start(struct serve *s)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	s->wakefd = eventfd(0, EFD_CLOEXEC);
	if (s->sigfd < 0 || s->wakefd < 0)
		return -errno;
	rc = pthread_create(&s->watcher, NULL, watcher_thread, s);
	s->watching = !rc;
	return -rc;
}

void watch_stop(struct serve *s)
{
	if (s->watching) {
		__atomic_store_n(&s->watch_end, true, __ATOMIC_RELEASE);
		watch_poke(s);
		pthread_join(s->watcher, NULL);
		s->watching = false;
	}
	if (s->sigfd >= 0)
		close(s->sigfd);
	if (s->wakefd >= 0)
		close(s->wakefd);
}
