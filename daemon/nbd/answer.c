// SPDX-License-Identifier: GPL-2.0-or-later
#include "nbd/answer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/control.h"
#include "server/host.h"
#include "server/report.h"
#include "server/session.h"

struct answer {
	struct answer_conf conf;
	struct control *control;
	int stop_fd;
	pthread_t thread;
	/* As much of one as there is without the module: no device, no ring. */
	struct session session;
	struct report_meta meta;
};

static json_t *on_request(struct answer *a, const char *op)
{
	const struct answer_conf *c = &a->conf;
	json_t *j;

	core_lock(&c->host->core);
	a->meta.phase = *c->superseded ? "superseded" : *c->stop ? "draining" : "serving";
	if (!strcmp(op, "status"))
		j = report_status(&a->session, &a->meta);
	else if (!strcmp(op, "stats"))
		j = report_stats(&a->session, &a->meta);
	else
		j = control_refusal("nbdkit serves this volume: it answers status and stats, not "
				    "'%.40s'",
				    op);
	core_unlock(&c->host->core);
	return j ? j : control_refusal("the server is out of memory");
}

static void on_connection(struct answer *a)
{
	const char *op;
	json_t *req;
	int conn, rc = control_accept(a->control, &conn, &req);

	/* What waits to be accepted would wake us again at once. */
	if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS)
		poll(NULL, 0, 100);
	if (rc)
		return;
	op = json_string_value(json_object_get(req, "op"));
	control_answer(conn, on_request(a, op ? op : ""));
	json_decref(req);
}

static void *answer_thread(void *arg)
{
	struct answer *a = arg;
	struct pollfd p[2] = { { .fd = control_fd(a->control), .events = POLLIN },
			       { .fd = a->stop_fd, .events = POLLIN } };

	while (!p[1].revents) {
		if (poll(p, 2, -1) > 0 && p[0].revents)
			on_connection(a);
	}
	return NULL;
}

static int start_thread(struct answer *a)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&a->thread, NULL, answer_thread, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!rc)
		pthread_setname_np(a->thread, "zerofs-answer");
	return rc;
}

int answer_start(struct answer **ret, const struct answer_conf *conf, char *err, size_t len)
{
	struct answer *a = calloc(1, sizeof(*a));
	int rc;

	snprintf(err, len, "out of memory");
	if (!a)
		return -ENOMEM;
	a->conf = *conf;
	a->session.host = conf->host;
	a->session.volume = conf->volume;
	a->session.up = true;
	a->meta = (struct report_meta){
		.url = conf->url,
		.name = conf->name,
		.uuid = conf->uuid,
		.by = "nbd",
		.started_us = clock_real_us(conf->host->env.clock),
		.flush_local = conf->flush_local,
	};
	a->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = a->stop_fd < 0 ? -errno : 0;
	if (!rc)
		rc = control_open(&a->control, CONTROL_DIR_NBD, conf->name, err, len);
	if (!rc) {
		rc = start_thread(a);
		if (!rc) {
			*ret = a;
			return 0;
		}
		snprintf(err, len, "cannot start a thread: %s", strerror(-rc));
	}
	control_close(a->control);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	free(a);
	return rc;
}

void answer_stop(struct answer *a)
{
	const uint64_t one = 1;

	if (!a)
		return;
	while (write(a->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(a->thread, NULL);
	control_close(a->control);
	close(a->stop_fd);
	free(a);
}
