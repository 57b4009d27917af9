// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: submit, waiting (due at once), an exchange, finished, done(). Failure modes: a try
 * that failed waits again until it is due, its body rewound and signed anew; a small GET that is
 * late has a second exchange on a connection of its own, and the first good answer counts; one
 * without a first byte is cut. What no further try mends, or more tries than there are, is the
 * result: who asked holds the I/O and comes again.
 *
 *    queue --> waiting --> active (main, perhaps hedge) --> finished --> done()
 *                 ^------------'
 */
#include "store/s3/s3_io.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/core.h"
#include "base/count.h"
#include "store/s3/creds.h"
#include "store/s3/s3_hedge.h"
#include "store/s3/s3_retry.h"
#include "store/s3/s3_shared.h"
#include "store/s3/s3_xfer.h"
#include "store/wire.h"

#define ACTIVE_MAX    64u
#define CONNECTIONS   96L
#define WAIT_MAX_US   1000000u
#define CUT_SMALL_US  2000000u /* without a first byte; twice as long at each further try */
#define CUT_OTHER_US  5000000u /* the same of LIST, DELETE and larger GETs */
#define CUT_MAX_US    16000000u
#define STILL_US      60000000u /* under a cap, and nothing holds it back */
#define CREDS_WAIT_US 10000000u
#define NEVER	      UINT64_MAX

struct call {
	struct list_head link; /* waiting, or active */
	struct store_req *req;
	struct s3_xfer_job job;
	struct s3_retry_call retry;
	uint64_t due_us;
	bool fresh; /* the next try goes over a new connection */
	/* for credentials: newer than @stale, until @creds_us */
	bool for_creds;
	bool lost; /* the store does not know @stale at all */
	uint64_t stale, creds_us;
	struct s3_xfer *main, *hedge;
	bool hedged; /* in this try */
	enum wire_cause cause; /* of the last failure */
};

struct s3_io {
	struct s3_shared *shared;
	CURLM *multi;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* after the core lock; guards what follows */
	struct list_head queue;
	bool asleep, stop, renewed;

	uint32_t load; /* guarded by the core lock */

	/* the thread's own */
	struct list_head waiting, active, finished;
	uint32_t nr_active;
	struct s3_retry retry;
	struct s3_hedge hedge;
	struct wire_op wire[STORE_NR_OPS]; /* for others to read */
};

static uint64_t now(const struct s3_io *io)
{
	return clock_mono_us(io->shared->clock);
}

static bool is_small_get(const struct call *c)
{
	return c->req->op == STORE_GET && c->req->len <= S3_HEDGE_SMALL;
}

static struct wire_op *wire(struct s3_io *io, const struct call *c)
{
	return &io->wire[c->req->op];
}

/* ---- exchanges --------------------------------------------------------------------------- */

static void drop_xfer(struct s3_io *io, struct s3_xfer **px)
{
	struct s3_xfer *x = *px;
	uint64_t up, down;

	if (!x)
		return;
	curl_multi_remove_handle(io->multi, x->easy);
	s3_xfer_bytes(x, &up, &down);
	count_add(&wire(io, x->priv)->bytes_up, up);
	count_add(&wire(io, x->priv)->bytes_down, down);
	s3_xfer_end(x);
	free(x);
	*px = NULL;
}

static int add_xfer(struct s3_io *io, struct call *c, const struct creds *creds, unsigned int flags,
		    struct s3_xfer **ret)
{
	struct s3_xfer *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return -ENOMEM;
	rc = s3_xfer_begin(x, io->shared, &c->job, creds, flags);
	if (rc) {
		free(x);
		return rc;
	}
	x->priv = c;
	if (curl_multi_add_handle(io->multi, x->easy) != CURLM_OK) {
		s3_xfer_end(x);
		free(x);
		return -ENOMEM;
	}
	count_add(&wire(io, c)->attempts, 1);
	*ret = x;
	return 0;
}

/* ---- a call's ways ----------------------------------------------------------------------- */

static void finish(struct s3_io *io, struct call *c, ssize_t res, uint64_t size)
{
	struct store_req *r = c->req;

	assert(!c->main && !c->hedge);
	r->res = res;
	r->size = size;
	list_del(&c->link);
	list_add_tail(&r->link, &io->finished);
	if (c->job.list)
		s3_list_drop(c->job.list);
	free(c->job.list);
	free(c);
}

static void wait_until(struct s3_io *io, struct call *c, uint64_t due_us)
{
	c->due_us = due_us;
	list_del(&c->link);
	list_add_tail(&c->link, &io->waiting);
}

/* Its last attempt is followed by another one. */
static void again(struct s3_io *io, struct call *c, uint64_t due_us)
{
	count_add(&wire(io, c)->retried[c->cause], 1);
	wait_until(io, c, due_us);
}

static void give_up(struct s3_io *io, struct call *c, int err)
{
	count_add(&wire(io, c)->errors[c->cause], 1);
	finish(io, c, err, 0);
}

static void failed(struct s3_io *io, struct call *c, const struct s3_error *e, uint64_t after_us)
{
	uint64_t at;

	if (s3_retry_failed(&io->retry, &c->retry, e, after_us, &at))
		again(io, c, at);
	else
		give_up(io, c, e->err);
}

/* Until there are credentials newer than @stale (or any, @stale = 0). */
static void await_creds(struct s3_io *io, struct call *c, uint64_t stale)
{
	if (!c->for_creds)
		c->creds_us = now(io) + CREDS_WAIT_US;
	c->for_creds = true;
	c->stale = stale;
	wait_until(io, c, c->creds_us);
}

/* Whether it makes sense to wait for others than @creds, which the store has refused. */
static bool may_change(const struct creds *creds, bool lost)
{
	return !creds->stale || !(lost || creds->constant);
}

static void without_creds(struct s3_io *io, struct call *c, int err)
{
	char why[CREDS_WHY];

	creds_why(io->shared->creds, why, sizeof(why));
	/* else what the store said about them is the last word */
	if (why[0])
		s3_shared_say(io->shared, c->req->op, "s3://%s: %s", io->shared->o.bucket, why);
	else if (err != -EACCES)
		s3_shared_say(io->shared, c->req->op,
			      "s3://%s: S3 credentials have not come so far", io->shared->o.bucket);
	c->cause = WIRE_AUTH;
	give_up(io, c, err);
}

/* The credentials to sign with, or the call goes another way: false. */
static bool have_creds(struct s3_io *io, struct call *c, struct creds *ret)
{
	int rc = creds_get(io->shared->creds, ret);
	bool same = !rc && c->for_creds && ret->gen == c->stale;

	if (!rc && !same) {
		c->for_creds = false;
		return true;
	}
	if (same && !may_change(ret, c->lost))
		without_creds(io, c, -EACCES);
	else if (!c->for_creds || now(io) < c->creds_us)
		await_creds(io, c, c->for_creds ? c->stale : 0);
	else /* who was asked says that there are no others, or does not answer */
		without_creds(io, c, same && ret->stale ? -EACCES : -ETIMEDOUT);
	return false;
}

static void start(struct s3_io *io, struct call *c)
{
	const struct s3_error nomem = { S3_ERROR_RETRY, -ENOMEM };
	struct creds creds;
	int rc;

	if (!have_creds(io, c, &creds)) {
		explicit_bzero(&creds, sizeof(creds));
		return;
	}
	c->hedged = false;
	rc = add_xfer(io, c, &creds, c->fresh ? S3_XFER_FRESH : 0, &c->main);
	explicit_bzero(&creds, sizeof(creds));
	if (rc) {
		c->cause = WIRE_OTHER;
		if (rc == -ENOMEM)
			failed(io, c, &nomem, 0);
		else
			give_up(io, c, rc);
		return;
	}
	c->fresh = false;
	list_del(&c->link);
	list_add_tail(&c->link, &io->active);
	io->nr_active++;
}

/* ---- what an answer leads to ------------------------------------------------------------- */

/* Sets right what the answer says is wrong with our side. True: it may help to try again. */
static bool set_right(struct s3_io *io, struct call *c, struct s3_xfer *x, enum s3_error_act act)
{
	bool moved;

	switch (act) {
	case S3_ERROR_SKEWED:
		return s3_shared_set_date(io->shared, x->skew_us, x->a.date);
	case S3_ERROR_REGION:
		moved = x->a.status < 400;
		if (s3_shared_set_region(io->shared, x->region, x->a.region, moved))
			return true;
		s3_shared_say(io->shared, c->req->op,
			      "s3://%s: the bucket is in region %s; put region=%s and that "
			      "region's endpoint into the URL",
			      io->shared->o.bucket, x->a.region, x->a.region);
		return false;
	case S3_ERROR_RANGE:
		c->job.sizing = true;
		return true;
	default:
		return false;
	}
}

/* The keys were. Newer ones may be there already: who was refused first has seen to it. */
static void refused(struct s3_io *io, struct call *c, struct s3_xfer *x, const struct s3_error *e)
{
	uint64_t gen = x->creds.gen;
	struct creds now_there = { .gen = 0 };
	bool newer, hopeless;

	/* keys that are wrong, and not of the kind that is renewed */
	c->lost = x->creds.expires_us == ~0ull && !strcmp(x->a.code, "InvalidAccessKeyId");
	creds_reject(io->shared->creds, gen);
	newer = !creds_get(io->shared->creds, &now_there) && now_there.gen != gen;
	hopeless = !newer && now_there.gen == gen && !may_change(&now_there, c->lost);
	explicit_bzero(&now_there, sizeof(now_there));
	drop_xfer(io, &c->main);
	if (hopeless || !s3_retry_fixed(&c->retry)) {
		give_up(io, c, e->err);
		return;
	}
	again(io, c, 0);
	if (!newer)
		await_creds(io, c, gen);
}

static void act_on(struct s3_io *io, struct call *c, struct s3_xfer *x, const struct s3_error *e)
{
	uint64_t after = x->a.after_us;

	if (e->act == S3_ERROR_CREDS) {
		refused(io, c, x, e);
		return;
	}
	if (set_right(io, c, x, e->act) && s3_retry_fixed(&c->retry)) {
		drop_xfer(io, &c->main);
		again(io, c, 0);
		return;
	}
	/* keys that somebody has replaced, or their rights: it is not said which */
	if (x->a.status == 403)
		creds_doubt(io->shared->creds, x->creds.gen);
	drop_xfer(io, &c->main);
	failed(io, c, e, after);
}

static void answered(struct s3_io *io, struct call *c, struct s3_xfer_verdict *v)
{
	struct s3_xfer *x = c->main;

	if (is_small_get(c) && v->res >= 0)
		s3_hedge_add(&io->hedge, now(io) - x->begun_us);
	s3_retry_answered(&io->retry, &c->retry);
	if (x->hedge)
		count_add(&wire(io, c)->hedges_won, 1);
	s3_shared_answered(io->shared, c->req->op, x->a.date,
			   x->a.crc32c[0] && !strcmp(x->a.crc32c, c->job.crc32c));
	/* the other of two may have failed meanwhile */
	s3_shared_worked(io->shared, c->req->op, c->hedged ? now(io) : x->begun_us);
	s3_xfer_take(x);
	drop_xfer(io, &c->main);
	if (v->more) {
		memset(&c->retry, 0, sizeof(c->retry));
		wait_until(io, c, 0);
	} else {
		finish(io, c, v->res, v->size);
	}
}

static void ended(struct s3_io *io, struct s3_xfer *x, int code)
{
	struct call *c = x->priv;
	struct s3_xfer_verdict v;

	hist_add(&wire(io, c)->us, now(io) - x->begun_us);
	s3_xfer_judge(x, code, &v);
	c->cause = v.cause;
	if (c->main && c->hedge) {
		struct s3_xfer **mine = x == c->main ? &c->main : &c->hedge;
		struct s3_xfer **other = x == c->main ? &c->hedge : &c->main;

		if (!v.done) {
			/* The other may still make it. */
			drop_xfer(io, mine);
			c->main = *other;
			if (other != &c->main)
				*other = NULL;
			return;
		}
		drop_xfer(io, other);
		c->main = x;
		c->hedge = NULL;
	}
	io->nr_active--;
	if (code)
		c->fresh = true;
	if (v.done)
		answered(io, c, &v);
	else
		act_on(io, c, x, &v.e);
}

/* ---- timers ------------------------------------------------------------------------------ */

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t hedge_at(const struct s3_io *io, const struct call *c)
{
	const struct s3_xfer *x = c->main;

	if (!is_small_get(c) || c->hedged || c->hedge || x->paused)
		return NEVER;
	return x->begun_us + s3_hedge_delay_us(&io->hedge);
}

/*
 * When an exchange is cut that has brought nothing, or under a cap, where curl cannot tell slow
 * from stuck, in which nothing moves any more. A PUT's body takes as long as it takes.
 */
static uint64_t cut_at(const struct s3_io *io, const struct call *c, const struct s3_xfer *x)
{
	uint64_t us = is_small_get(c) ? CUT_SMALL_US : CUT_OTHER_US, still = NEVER;

	if (!x || x->paused)
		return NEVER;
	if (s3_shared_capped(io->shared))
		still = x->moved_us + STILL_US;
	if (x->first_us || c->req->op == STORE_PUT)
		return still;
	for (uint32_t i = 0; i < c->retry.tries && us < CUT_MAX_US; i++)
		us *= 2;
	return min(still, x->begun_us + min(us, CUT_MAX_US));
}

static void hedge(struct s3_io *io, struct call *c)
{
	struct creds creds;

	c->hedged = true;
	if (!s3_hedge_take(&io->hedge) || creds_get(io->shared->creds, &creds))
		return;
	/* Without memory there is no second one. */
	if (!add_xfer(io, c, &creds, S3_XFER_FRESH | S3_XFER_OWN, &c->hedge)) {
		c->hedge->hedge = true;
		count_add(&wire(io, c)->hedges, 1);
	}
	explicit_bzero(&creds, sizeof(creds));
}

static bool unpause(struct s3_xfer *x, uint64_t t)
{
	if (!x || !x->paused || s3_cap_ready_us(x->paused, t) > t)
		return false;
	x->paused = NULL;
	x->moved_us = t;
	curl_easy_pause(x->easy, CURLPAUSE_CONT);
	return true;
}

/* True: something was done that wants curl to look. */
static bool timers(struct s3_io *io)
{
	uint64_t t = now(io);
	struct call *c, *tmp;
	bool any = false;

	list_for_each_entry_safe(c, tmp, &io->active, link) {
		bool went = unpause(c->main, t);

		went = unpause(c->hedge, t) || went;
		if (went) {
			/* Who has had his turn comes after the others. */
			any = true;
			list_del(&c->link);
			list_add_tail(&c->link, &io->active);
			continue;
		}
		if (hedge_at(io, c) <= t) {
			hedge(io, c);
			any = true;
		}
		if (cut_at(io, c, c->hedge) <= t)
			ended(io, c->hedge, CURLE_OPERATION_TIMEDOUT);
		else if (cut_at(io, c, c->main) <= t)
			ended(io, c->main, CURLE_OPERATION_TIMEDOUT);
		else
			continue;
		any = true;
	}
	return any;
}

static uint64_t next_at(struct s3_io *io, uint64_t t)
{
	uint64_t at = t + WAIT_MAX_US;
	struct call *c;

	if (io->nr_active < ACTIVE_MAX)
		list_for_each_entry(c, &io->waiting, link)
			at = min(at, c->due_us);
	list_for_each_entry(c, &io->active, link) {
		at = min(at, hedge_at(io, c));
		at = min(at, min(cut_at(io, c, c->main), cut_at(io, c, c->hedge)));
		if (c->main && c->main->paused)
			at = min(at, s3_cap_ready_us(c->main->paused, t));
		if (c->hedge && c->hedge->paused)
			at = min(at, s3_cap_ready_us(c->hedge->paused, t));
	}
	return at;
}

/* ---- the thread -------------------------------------------------------------------------- */

static void admit(struct s3_io *io, struct store_req *r)
{
	struct call *c = calloc(1, sizeof(*c));

	list_del(&r->link);
	if (c && r->op == STORE_LIST)
		c->job.list = malloc(sizeof(*c->job.list));
	if (!c || (r->op == STORE_LIST && !c->job.list)) {
		free(c);
		r->res = -ENOMEM;
		list_add_tail(&r->link, &io->finished);
		return;
	}
	c->req = r;
	c->job.req = r;
	c->job.sizing = r->op == STORE_GET && !r->len;
	if (c->job.list)
		s3_list_init(c->job.list, r, io->shared->root);
	list_add_tail(&c->link, &io->waiting);
}

/* False: the thread is to end. */
static bool take_queue(struct s3_io *io)
{
	struct list_head got = LIST_HEAD_INIT(got);
	struct store_req *r, *tmp;
	bool renewed, go_on;
	struct call *c;

	pthread_mutex_lock(&io->lock);
	io->asleep = false;
	list_splice_tail(&io->queue, &got);
	renewed = io->renewed;
	io->renewed = false;
	go_on = !io->stop;
	pthread_mutex_unlock(&io->lock);
	list_for_each_entry_safe(r, tmp, &got, link)
		admit(io, r);
	if (renewed)
		list_for_each_entry(c, &io->waiting, link)
			if (c->for_creds)
				c->due_us = 0;
	return go_on;
}

static void start_due(struct s3_io *io)
{
	uint64_t t = now(io);
	struct call *c, *tmp;

	list_for_each_entry_safe(c, tmp, &io->waiting, link) {
		if (io->nr_active >= ACTIVE_MAX)
			return;
		if (c->due_us <= t)
			start(io, c);
	}
}

static void reap(struct s3_io *io)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(io->multi, &left)) != NULL) {
		struct s3_xfer *x = NULL;
		int code = (int)m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		ended(io, x, code);
	}
}

static void give_back(struct s3_io *io)
{
	struct store_req *r, *tmp;

	if (list_empty(&io->finished))
		return;
	core_lock(io->shared->core);
	list_for_each_entry_safe(r, tmp, &io->finished, link) {
		list_del(&r->link);
		io->load--;
		r->done(r);
	}
	core_unlock(io->shared->core);
}

static void sleep_until(struct s3_io *io, uint64_t at)
{
	uint64_t wake = clock_wake_us(io->shared->clock, at);
	uint64_t t = clock_mono_us(clock_system());
	bool go;

	pthread_mutex_lock(&io->lock);
	go = list_empty(&io->queue) && !io->stop && !io->renewed;
	io->asleep = go;
	pthread_mutex_unlock(&io->lock);
	if (go && wake > t)
		curl_multi_poll(io->multi, NULL, 0, (int)((wake - t + 999) / 1000), NULL);
}

static void *io_thread(void *arg)
{
	struct s3_io *io = arg;
	int running;

	while (take_queue(io)) {
		bool again;

		start_due(io);
		curl_multi_perform(io->multi, &running);
		reap(io);
		again = timers(io);
		give_back(io);
		if (!again)
			sleep_until(io, next_at(io, now(io)));
	}
	return NULL;
}

static void wake(struct s3_io *io)
{
	bool asleep = io->asleep;

	io->asleep = false;
	pthread_mutex_unlock(&io->lock);
	if (asleep)
		curl_multi_wakeup(io->multi);
}

void s3_io_submit(struct s3_io *io, struct store_req *r)
{
	io->load++;
	pthread_mutex_lock(&io->lock);
	list_add_tail(&r->link, &io->queue);
	wake(io);
}

uint32_t s3_io_load(const struct s3_io *io)
{
	return io->load;
}

void s3_io_wire(const struct s3_io *io, struct wire *to)
{
	for (int i = 0; i < STORE_NR_OPS; i++)
		wire_merge(&to->op[i], &io->wire[i]);
}

void s3_io_renewed(struct s3_io *io)
{
	pthread_mutex_lock(&io->lock);
	io->renewed = true;
	wake(io);
}

int s3_io_new(struct s3_io **ret, struct s3_shared *shared)
{
	struct s3_io *io = calloc(1, sizeof(*io));
	sigset_t all, old;
	int rc;

	if (!io)
		return -ENOMEM;
	io->shared = shared;
	list_init(&io->queue);
	list_init(&io->waiting);
	list_init(&io->active);
	list_init(&io->finished);
	s3_retry_init(&io->retry, shared->clock);
	s3_hedge_init(&io->hedge);
	pthread_mutex_init(&io->lock, NULL);
	io->multi = curl_multi_init();
	rc = io->multi ? 0 : -ENOMEM;
	if (!rc) {
		curl_multi_setopt(io->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
		curl_multi_setopt(io->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS);
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		rc = -pthread_create(&io->thread, NULL, io_thread, io);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (!rc) {
		pthread_setname_np(io->thread, "s3");
		io->started = true;
		*ret = io;
	} else {
		s3_io_free(io);
	}
	return rc;
}

void s3_io_free(struct s3_io *io)
{
	if (!io)
		return;
	if (io->started) {
		pthread_mutex_lock(&io->lock);
		assert(list_empty(&io->queue));
		io->stop = true;
		wake(io);
		pthread_join(io->thread, NULL);
	}
	assert(list_empty(&io->waiting) && list_empty(&io->active));
	if (io->multi)
		curl_multi_cleanup(io->multi);
	pthread_mutex_destroy(&io->lock);
	free(io);
}
