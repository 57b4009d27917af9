// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attaches format URL
 * attaches race URL PLAIN FOLDER SEED ATTACHES HOSTS
 *
 * HOSTS hosts take one volume from each other, ATTACHES times in all, each time in a process of its
 * own; each writes and flushes until it is taken over, is killed or detaches. The way to the store
 * has PUTs arrive late. Then one more attaches at the URL PLAIN. Owners come one after the other,
 * by their epochs, and what the next one finds must be what the last one found and a prefix of what
 * that wrote: no less than it had flushed or detached with, nothing of anybody else's, and nothing
 * of its own that came after the prefix. FOLDER/attaches says when each began and owned it
 * (CLOCK_MONOTONIC, microseconds; 0: it did not).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/model.h"
#include "lib/urlvol.h"

#define BLOCKS	     32u
#define BLOCK	     4096u
#define MOST	     4u /* blocks in a request */
#define ROUNDS_MAX   4u /* each WRITES and a FLUSH */
#define WRITES	     4u
#define OPS_MAX	     (ROUNDS_MAX * WRITES)
#define HOSTS_MAX    32u
#define PAUSE_MIN_MS 100u /* between two attaches of a host, at most */

struct op {
	uint32_t nr, lba, n;
};

/* One attach, and what its owner did; filled as it goes on, so that it outlives him. */
struct tenure {
	uint64_t began_us, owned_us; /* 0: not owned */
	bool known; /* what it found, and its epoch */
	uint64_t epoch;
	uint32_t found[BLOCKS]; /* stamps */
	struct op ops[OPS_MAX];
	uint32_t nr_ops;
	uint32_t promised; /* so many of them */
};

/* In memory that all processes share; atomic. */
struct shared {
	unsigned int begun, owned, refused, flushes, taken_over, killed, detached;
	uint32_t ops;
};

static struct {
	const char *url, *dir;
	uint64_t seed;
	unsigned int total;
} race;

static struct shared *sh;
static struct tenure *tenures; /* shared, too: of each attach, and one more */

static void count(unsigned int *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

static uint32_t below(uint64_t *seed, uint32_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)((*seed >> 20) % n);
}

/* 0 or -ESHUTDOWN. */
static int io(struct urlvol *u, enum io_op op, uint32_t lba, uint32_t n, uint8_t *buf)
{
	int rc = urlvol_io(u, 0, op, 0, lba, n, buf);

	if (rc && rc != -ESHUTDOWN) {
		fprintf(stderr, "request %d: %s\n", op, strerror(-rc));
		urlvol_failed(__FILE__, __LINE__, "an error has come through");
	}
	return rc;
}

static int look(struct urlvol *u, uint32_t *stamps, uint8_t *buf)
{
	int rc = io(u, IO_READ, 0, BLOCKS, buf);

	for (uint32_t i = 0; i < BLOCKS && !rc; i++) {
		stamps[i] = model_stamp(buf + i * BLOCK, 0, i);
		urlvol_must(stamps[i] != ~0u);
	}
	return rc;
}

/* One more operation of the tenure. */
static int change(struct urlvol *u, struct tenure *t, uint64_t *seed, uint8_t *buf)
{
	struct op *op = &t->ops[t->nr_ops++];

	op->n = 1 + below(seed, MOST);
	op->lba = below(seed, BLOCKS - op->n);
	op->nr = __atomic_add_fetch(&sh->ops, 1, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < op->n; i++)
		model_fill(buf + i * BLOCK, op->nr, 0, op->lba + i);
	return io(u, IO_WRITE, op->lba, op->n, buf);
}

static void replay(uint32_t *image, const struct op *ops, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		for (uint32_t b = 0; b < ops[i].n; b++)
			image[ops[i].lba + b] = ops[i].nr;
}

/* While it is ours we see what we have written, and nothing else. */
static int compare(struct urlvol *u, const struct tenure *t, uint8_t *buf)
{
	uint32_t want[BLOCKS], got[BLOCKS];
	int rc = look(u, got, buf);

	memcpy(want, t->found, sizeof(want));
	replay(want, t->ops, t->nr_ops);
	if (!rc)
		urlvol_must(!memcmp(want, got, sizeof(want)));
	return rc;
}

static void die(void)
{
	count(&sh->killed);
	kill(getpid(), SIGKILL);
}

/* @die_at: after so many writes, or right after the FLUSH that follows; ~0 = not, he detaches. */
static int work(struct urlvol *u, struct tenure *t, uint64_t *seed, uint8_t *buf, uint32_t die_at)
{
	uint32_t rounds = die_at == ~0u ? 1 : 1 + below(seed, ROUNDS_MAX);
	bool after_flush = below(seed, 2);
	int rc = 0;

	for (uint32_t r = 0; r < rounds && !rc; r++) {
		for (uint32_t i = 0; i < WRITES && !rc; i++) {
			rc = change(u, t, seed, buf);
			if (!rc && t->nr_ops >= die_at && !after_flush)
				die();
		}
		if (!rc)
			rc = compare(u, t, buf);
		if (!rc)
			rc = io(u, IO_FLUSH, 0, 0, NULL);
		if (!rc) {
			__atomic_store_n(&t->promised, t->nr_ops, __ATOMIC_RELEASE);
			count(&sh->flushes);
			if (t->nr_ops >= die_at)
				die();
		}
	}
	return rc;
}

static void own(struct urlvol *u, struct tenure *t, uint64_t *seed, uint8_t *buf)
{
	bool clean = !below(seed, 3);
	uint32_t die_at = clean ? ~0u : 1 + below(seed, WRITES * 2);
	int rc = look(u, t->found, buf);

	t->epoch = u->rec.epoch;
	t->known = !rc;
	if (!rc)
		rc = work(u, t, seed, buf, die_at);
	if (!rc && !clean)
		die();
	if (!rc)
		rc = urlvol_end(u, true);
	else
		urlvol_end(u, false);
	urlvol_must(!rc || rc == -ESTALE || rc == -ESHUTDOWN);
	count(rc ? &sh->taken_over : &sh->detached);
	if (!rc)
		t->promised = t->nr_ops;
}

static void set_opts(struct volume_opts *o, unsigned int host)
{
	volume_opts_init(o);
	o->memory = 128ull << 20;
	o->segment_bytes = 64u << 10;
	o->segment_age_ms = 200;
	o->checkpoint_segments = 1;
	o->takeover = true;
	o->host_id[0] = (uint8_t)(host + 1);
	snprintf(o->host, sizeof(o->host), "host%u", host);
}

/* A process. Who came too late says that somebody newer owns it; everything else is a failure. */
static void attach_once(unsigned int host, struct tenure *t, uint64_t *seed)
{
	uint8_t *buf = calloc(BLOCKS, BLOCK);
	struct volume_opts o;
	char state[300];
	struct urlvol u;
	int rc;

	urlvol_must(buf);
	set_opts(&o, host);
	snprintf(state, sizeof(state), "%s/host%u", race.dir, host);
	t->began_us = clock_mono_us(clock_system());
	rc = urlvol_attach(&u, race.url, state, &o, NULL);
	if (!rc) {
		t->owned_us = clock_mono_us(clock_system());
		count(&sh->owned);
		own(&u, t, seed, buf);
	} else if (rc == -ESTALE || (rc == -EINTR && u.superseded)) {
		count(&sh->refused);
	} else {
		urlvol_failed(__FILE__, __LINE__, u.err);
	}
	free(buf);
}

/*
 * One attach after the other. Hosts that do nothing but take over get nowhere, and the log grows
 * meanwhile: who is refused waits for up to twice as long as that took, then four times, and so on,
 * on a slow machine as on a fast one.
 */
static void contend(unsigned int host)
{
	uint64_t seed = (race.seed * HOSTS_MAX + host) * 0x9e3779b97f4a7c15ull + 1;
	uint32_t refused = 0, pause_ms, n;
	uint64_t began_us;
	int status;
	pid_t pid;

	while ((n = __atomic_fetch_add(&sh->begun, 1, __ATOMIC_RELAXED)) < race.total) {
		below(&seed, 1);
		began_us = clock_mono_us(clock_system());
		pid = fork();
		if (!pid) {
			attach_once(host, &tenures[n], &seed);
			exit(0);
		}
		urlvol_must(pid > 0 && waitpid(pid, &status, 0) == pid);
		if (status && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL))
			urlvol_failed(__FILE__, __LINE__, "a host has failed");
		pause_ms = (uint32_t)((clock_mono_us(clock_system()) - began_us) / 1000) + 1;
		refused = tenures[n].owned_us ? 0 : refused < 4 ? refused + 1 : refused;
		pause_ms = refused ? pause_ms << refused : PAUSE_MIN_MS;
		usleep(below(&seed, pause_ms) * 1000);
	}
}

/* ---- who was owner after whom ------------------------------------------------------------ */

static int by_epoch(const void *a, const void *b)
{
	const struct tenure *x = a, *y = b;

	return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

static void judge(const struct tenure *t, const struct tenure *next)
{
	uint32_t image[BLOCKS], k;

	urlvol_must(t->epoch != next->epoch);
	for (k = t->promised; k <= t->nr_ops; k++) {
		memcpy(image, t->found, sizeof(image));
		replay(image, t->ops, k);
		if (!memcmp(image, next->found, sizeof(image)))
			return;
	}
	fprintf(stderr,
		"epoch %" PRIu64 " wrote %u times, of which %u were promised; epoch %" PRIu64
		" found\n",
		t->epoch, t->nr_ops, t->promised, next->epoch);
	memcpy(image, t->found, sizeof(image));
	replay(image, t->ops, t->nr_ops);
	for (k = 0; k < BLOCKS; k++)
		fprintf(stderr, "  block %u: %u before, %u after all of it, %u found\n", k,
			t->found[k], image[k], next->found[k]);
	urlvol_failed(__FILE__, __LINE__, "the next owner found something else");
}

/* What there is when all is over. */
static void look_last(const char *plain)
{
	struct tenure *last = &tenures[race.total];
	uint8_t *buf = calloc(BLOCKS, BLOCK);
	struct volume_opts o;
	struct urlvol u;
	char state[300];

	urlvol_must(buf);
	set_opts(&o, HOSTS_MAX);
	snprintf(state, sizeof(state), "%s/last", race.dir);
	if (urlvol_attach(&u, plain, state, &o, NULL))
		urlvol_failed(__FILE__, __LINE__, u.err);
	last->epoch = u.rec.epoch;
	last->known = true;
	urlvol_must(!look(&u, last->found, buf));
	urlvol_must(!urlvol_end(&u, true));
	free(buf);
}

static unsigned int judge_all(void)
{
	const struct tenure first = { .epoch = 0 }, *before = &first;
	unsigned int n = 0;

	qsort(tenures, race.total + 1, sizeof(*tenures), by_epoch);
	for (unsigned int i = 0; i <= race.total; i++) {
		if (!tenures[i].known)
			continue;
		judge(before, &tenures[i]);
		before = &tenures[i];
		n++;
	}
	return n;
}

static void write_times(void)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/attaches", race.dir);
	f = fopen(path, "we");
	urlvol_must(f);
	for (unsigned int i = 0; i < race.total; i++)
		fprintf(f, "%" PRIu64 " %" PRIu64 "\n", tenures[i].began_us, tenures[i].owned_us);
	urlvol_must(!fclose(f));
}

static void *share(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	urlvol_must(p != MAP_FAILED);
	return p;
}

static void run(const char *plain, unsigned int hosts)
{
	unsigned int images;
	int status, bad = 0;

	urlvol_must(hosts && hosts <= HOSTS_MAX);
	sh = share(sizeof(*sh));
	tenures = share((race.total + 1) * sizeof(*tenures));
	for (unsigned int i = 0; i < hosts; i++) {
		pid_t pid = fork();

		urlvol_must(pid >= 0);
		if (!pid) {
			contend(i);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status;
	urlvol_must(!bad);
	look_last(plain);
	write_times();
	images = judge_all();
	printf("seed %" PRIu64 ": %u attaches of %u hosts: %u owned it, %u came too late; %u were "
	       "taken over, %u killed, %u detached; %u writes, %u flushes; a chain of %u owners\n",
	       race.seed, race.total, hosts, sh->owned, sh->refused, sh->taken_over, sh->killed,
	       sh->detached, sh->ops, sh->flushes, images);
	urlvol_must(sh->taken_over && sh->killed && sh->flushes);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "format")) {
		urlvol_format(argv[2], (uint64_t)BLOCKS * BLOCK);
		return 0;
	}
	if (argc != 8 || strcmp(argv[1], "race") != 0)
		return 2;
	race.url = argv[2];
	race.dir = argv[4];
	race.seed = strtoull(argv[5], NULL, 10);
	race.total = (unsigned int)strtoul(argv[6], NULL, 10);
	run(argv[3], (unsigned int)strtoul(argv[7], NULL, 10));
	return 0;
}
