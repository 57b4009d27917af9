// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/workq.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/core.h"

#define WORKQ_MAX_THREADS 256u

/*
 * Lock order: core lock, then @lock. A worker never holds @lock while it takes the core lock.
 */
struct workq {
	struct exec exec;
	struct core *core;
	unsigned int pending; /* guarded by the core lock */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;
	struct list_head queue;
	bool stop; /* ends threads once the queue is empty */

	unsigned int nr;
	pthread_t threads[];
};

static void submit(struct exec *e, struct exec_work *w)
{
	struct workq *wq = container_of(e, struct workq, exec);

	wq->pending++;
	pthread_mutex_lock(&wq->lock);
	list_add_tail(&w->link, &wq->queue);
	pthread_cond_signal(&wq->more);
	pthread_mutex_unlock(&wq->lock);
}

static struct exec_work *next(struct workq *wq)
{
	struct exec_work *w = NULL;

	pthread_mutex_lock(&wq->lock);
	while (list_empty(&wq->queue) && !wq->stop)
		pthread_cond_wait(&wq->more, &wq->lock);
	if (!list_empty(&wq->queue)) {
		w = list_first_entry(&wq->queue, struct exec_work, link);
		list_del(&w->link);
	}
	pthread_mutex_unlock(&wq->lock);
	return w;
}

static void *worker(void *arg)
{
	struct workq *wq = arg;
	struct exec_work *w;

	while ((w = next(wq)) != NULL) {
		w->run(w);
		core_lock(wq->core);
		w->complete(w);
		wq->pending--;
		core_unlock(wq->core);
	}
	return NULL;
}

static void stop_threads(struct workq *wq)
{
	pthread_mutex_lock(&wq->lock);
	wq->stop = true;
	pthread_cond_broadcast(&wq->more);
	pthread_mutex_unlock(&wq->lock);
	for (unsigned int i = 0; i < wq->nr; i++)
		pthread_join(wq->threads[i], NULL);
}

static void destroy(struct workq *wq)
{
	pthread_cond_destroy(&wq->more);
	pthread_mutex_destroy(&wq->lock);
	free(wq);
}

int workq_new(struct workq **ret, struct core *core, unsigned int nthreads, const char *name)
{
	static const struct exec_ops ops = { .submit = submit };
	sigset_t all, old;
	struct workq *wq;
	int rc = 0;

	if (!nthreads || nthreads > WORKQ_MAX_THREADS)
		return -EINVAL;
	wq = calloc(1, sizeof(*wq) + nthreads * sizeof(wq->threads[0]));
	if (!wq)
		return -ENOMEM;
	wq->exec.ops = &ops;
	wq->core = core;
	list_init(&wq->queue);
	pthread_mutex_init(&wq->lock, NULL);
	pthread_cond_init(&wq->more, NULL);

	/* Signals are for the thread that expects them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (wq->nr < nthreads && !rc) {
		rc = -pthread_create(&wq->threads[wq->nr], NULL, worker, wq);
		if (!rc) {
			char comm[16];

			snprintf(comm, sizeof(comm), "%.10s/%u", name, wq->nr);
			pthread_setname_np(wq->threads[wq->nr], comm);
			wq->nr++;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		stop_threads(wq);
		destroy(wq);
		return rc;
	}
	*ret = wq;
	return 0;
}

struct exec *workq_exec(struct workq *wq)
{
	return &wq->exec;
}

unsigned int workq_pending(const struct workq *wq)
{
	assert(core_held(wq->core));
	return wq->pending;
}

void workq_free(struct workq *wq)
{
	if (!wq)
		return;
	stop_threads(wq);
	destroy(wq);
}
