// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lives format URL
 * lives run URL PLAIN FOLDER SEED LIVES
 *
 * A volume in an S3 store behind faults: daemons that serve it one after the other, each a process
 * that detaches or is killed; clients that write, zero, discard, read and flush. No request may
 * fail. What is
 * read is what was written; a new daemon finds of each client's history a prefix no shorter than
 * what a FLUSH, a FUA or a detach has promised, and the last one, which attaches at the URL PLAIN,
 * without faults, finds it too. The seed decides who does what, but not which of the clients is
 * quicker.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/model.h"
#include "lib/urlvol.h"

#define CLIENTS 3u
#define BLOCKS	256u /* of each client */
#define OPS	60u /* of each client in a life */
#define MOST	16u /* blocks in a request */
#define BLOCK	4096u

struct client {
	struct model m; /* its own blocks are device 0 */
	uint32_t nr;
	uint64_t seed;
	uint8_t *buf;
};

struct event {
	bool data;
	uint32_t lba, n;
};

/* What is left of a process that was killed: in memory that it shares with its parent. */
struct shared {
	struct {
		uint32_t found; /* so much of its history was there */
		struct event ev[OPS]; /* what it did after that */
		uint32_t nr_ev; /* atomic */
		uint32_t done; /* atomic: all its operations up to this one were answered */
		uint32_t safe; /* lock: must survive */
	} of[CLIENTS];
	unsigned int flushes, writes, reads; /* atomic */
};

static struct client clients[CLIENTS];
static struct shared *sh;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct urlvol u;
static uint32_t die_at; /* before which request of its own client 0 has it killed */

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint32_t below(uint64_t *seed, uint32_t n)
{
	return (uint32_t)((rnd(seed) >> 20) % n);
}

static void io(struct client *c, enum io_op op, uint8_t flags, uint32_t lba, uint32_t n)
{
	int rc = urlvol_io(&u, c->nr, op, flags, op == IO_FLUSH ? 0 : c->nr * BLOCKS + lba, n,
			   c->buf);

	if (!rc)
		return;
	fprintf(stderr, "client %u: request %d at %u, %u blocks: %s\n", c->nr, op, lba, n,
		strerror(-rc));
	urlvol_failed(__FILE__, __LINE__, "an error has come through");
}

static void keep(struct client *c, uint32_t op)
{
	pthread_mutex_lock(&lock);
	if (op > sh->of[c->nr].safe)
		sh->of[c->nr].safe = op;
	pthread_mutex_unlock(&lock);
}

/* What was answered before it began, of any client. */
static void flush(struct client *c)
{
	uint32_t done[CLIENTS];

	for (uint32_t i = 0; i < CLIENTS; i++)
		done[i] = __atomic_load_n(&sh->of[i].done, __ATOMIC_ACQUIRE);
	io(c, IO_FLUSH, 0, 0, 0);
	for (uint32_t i = 0; i < CLIENTS; i++)
		keep(&clients[i], done[i]);
	__atomic_fetch_add(&sh->flushes, 1, __ATOMIC_RELAXED);
}

static void change(struct client *c, enum io_op op, uint32_t lba, uint32_t n)
{
	uint8_t flags = below(&c->seed, 8) ? 0 : IO_F_FUA;
	uint32_t nr = model_op(&c->m, 0, lba, n, op == IO_WRITE), ev = sh->of[c->nr].nr_ev;

	sh->of[c->nr].ev[ev] = (struct event){ op == IO_WRITE, lba, n };
	__atomic_store_n(&sh->of[c->nr].nr_ev, ev + 1, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < n && op == IO_WRITE; i++)
		model_fill(c->buf + i * BLOCK, nr, c->nr, lba + i);
	io(c, op, flags, lba, n);
	__atomic_store_n(&sh->of[c->nr].done, nr, __ATOMIC_RELEASE);
	if (flags)
		keep(c, nr);
	__atomic_fetch_add(&sh->writes, 1, __ATOMIC_RELAXED);
}

static void look(struct client *c, uint32_t lba, uint32_t n)
{
	io(c, IO_READ, 0, lba, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t want = model_now(&c->m, 0, lba + i);
		uint32_t got = model_stamp(c->buf + i * BLOCK, c->nr, lba + i);

		if (got == want)
			continue;
		fprintf(stderr, "client %u, block %u: operation %u, not %u\n", c->nr, lba + i, got,
			want);
		urlvol_failed(__FILE__, __LINE__, "what was read is not what was written");
	}
	__atomic_fetch_add(&sh->reads, 1, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	struct client *c = arg;

	for (uint32_t i = 0; i < OPS; i++) {
		uint32_t n = 1 + below(&c->seed, MOST), lba = below(&c->seed, BLOCKS - n);
		uint32_t what = below(&c->seed, 16);

		if (!c->nr && i == die_at)
			kill(getpid(), SIGKILL);
		if (what < 8)
			change(c, IO_WRITE, lba, n);
		else if (what < 9)
			change(c, IO_DISCARD, lba, n);
		else if (what < 10)
			change(c, IO_WRITE_ZEROES, lba, n);
		else if (what < 14)
			look(c, lba, n);
		else
			flush(c);
	}
	return NULL;
}

/* What is not there has not happened, and must not come back: no number is used again. */
static void forget(struct client *c, uint32_t found)
{
	uint32_t ops = c->m.ops;

	model_cut(&c->m, found);
	c->m.ops = ops;
}

/* What a new daemon has of one client's history. */
static void find(struct client *c)
{
	uint32_t stamps[BLOCKS], found, ops = c->m.ops, safe = sh->of[c->nr].safe;

	for (uint32_t lba = 0; lba < BLOCKS; lba += MOST) {
		io(c, IO_READ, 0, lba, MOST);
		for (uint32_t i = 0; i < MOST; i++)
			stamps[lba + i] = model_stamp(c->buf + i * BLOCK, c->nr, lba + i);
	}
	found = model_prefix(&c->m, stamps, safe, ops);
	if (found == ~0u) {
		fprintf(stderr, "client %u: of %u operations %u were promised\n", c->nr, ops, safe);
		urlvol_failed(__FILE__, __LINE__, "what is there is no prefix that has those");
	}
	forget(c, found);
	sh->of[c->nr].found = found;
	sh->of[c->nr].done = ops;
	sh->of[c->nr].safe = ops;
}

static void attach(const char *url, const char *dir)
{
	struct volume_opts o;
	char state[300];

	volume_opts_init(&o);
	o.memory = 128ull << 20;
	o.segment_bytes = 128u << 10;
	o.segment_age_ms = 300;
	o.checkpoint_segments = 6;
	snprintf(state, sizeof(state), "%s/state", dir);
	if (urlvol_attach(&u, url, state, &o, NULL))
		urlvol_failed(__FILE__, __LINE__, u.err);
}

/* A process: a daemon and its clients. */
static void serve(const char *url, const char *dir, bool clean)
{
	pthread_t t[CLIENTS];
	struct volume_stats st;
	int rc;

	attach(url, dir);
	for (uint32_t i = 0; i < CLIENTS; i++)
		find(&clients[i]);
	for (uint32_t i = 0; i < CLIENTS; i++)
		urlvol_must(!pthread_create(&t[i], NULL, work, &clients[i]));
	for (uint32_t i = 0; i < CLIENTS; i++)
		pthread_join(t[i], NULL);
	st = urlvol_stats(&u);
	rc = urlvol_end(&u, clean);
	if (rc)
		urlvol_failed(__FILE__, __LINE__, strerror(-rc));
	printf("  detached: %llu segments, %llu heads, %llu store errors reached the engine\n",
	       (unsigned long long)st.segments_committed, (unsigned long long)st.heads,
	       (unsigned long long)st.store_errors);
}

/* The last one: only looks. */
static void check(const char *plain, const char *dir)
{
	attach(plain, dir);
	for (uint32_t i = 0; i < CLIENTS; i++)
		find(&clients[i]);
	urlvol_must(!urlvol_end(&u, true));
}

static void await(pid_t pid, bool killed)
{
	int status;

	urlvol_must(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status)
		urlvol_failed(__FILE__, __LINE__, "a daemon has failed");
}

/* What the process has found, and has done since, is our history too. */
static uint32_t take_over(bool clean)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		lost += c->m.ops - sh->of[i].found;
		forget(c, sh->of[i].found);
		for (uint32_t k = 0; k < sh->of[i].nr_ev; k++) {
			const struct event *e = &sh->of[i].ev[k];

			model_op(&c->m, 0, e->lba, e->n, e->data);
		}
		sh->of[i].nr_ev = 0;
		if (clean)
			sh->of[i].safe = c->m.ops;
	}
	return lost;
}

static void live(const char *url, const char *dir, uint64_t *dice, bool clean)
{
	uint32_t lost;
	pid_t pid;

	for (uint32_t i = 0; i < CLIENTS; i++)
		clients[i].seed = rnd(dice);
	die_at = clean ? OPS : 1 + below(dice, OPS - 1);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		serve(url, dir, clean);
		exit(0);
	}
	await(pid, !clean);
	lost = take_over(clean);
	printf("  %s; it had found %u operations without a promise gone\n",
	       clean ? "done" : "killed", lost);
}

static void run(const char *url, const char *plain, const char *dir, uint64_t seed,
		unsigned int lives)
{
	uint64_t dice = seed * 0x9e3779b97f4a7c15ull + 1;
	pid_t pid;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	urlvol_must(sh != MAP_FAILED);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		model_init(&c->m, 1, BLOCKS);
		c->nr = i;
		c->buf = calloc(MOST, BLOCK);
		urlvol_must(c->buf);
	}
	for (unsigned int i = 0; i < lives; i++)
		live(url, dir, &dice, !i || !below(&dice, 3));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		check(plain, dir);
		exit(0);
	}
	await(pid, false);
	printf("seed %llu: %u lives, %u changes, %u reads, %u flushes, no error\n",
	       (unsigned long long)seed, lives, sh->writes, sh->reads, sh->flushes);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		model_free(&clients[i].m);
		free(clients[i].buf);
	}
	munmap(sh, sizeof(*sh));
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "format"))
		urlvol_format(argv[2], (uint64_t)CLIENTS * BLOCKS * BLOCK);
	else if (argc == 7 && !strcmp(argv[1], "run"))
		run(argv[2], argv[3], argv[4], strtoull(argv[5], NULL, 10),
		    (unsigned int)strtoul(argv[6], NULL, 10));
	else
		return 2;
	return 0;
}
