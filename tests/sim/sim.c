// SPDX-License-Identifier: GPL-2.0-or-later
/* Many seeds, each in a process of its own, so that one that crashes or hangs has a name, too. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim.h"

static const char usage[] =
	"usage: sim [-t] [-p POINT] SEED           one seed; -t: say all that happens;\n"
	"                                          -p: everything dies at that step\n"
	"       sim [-f FIRST] [-n SEEDS] [-P SEEDS,STRIDE] [-s SECONDS]\n"
	"                                          many; -P: so many more, dying at each STRIDEth\n"
	"                                          step; -s: until then, ever more seeds\n";

struct options {
	bool trace, one;
	uint64_t first, seeds, point_seeds, stride, point, seconds;
};

static uint64_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static uint64_t crashes(const struct sim_stats *s)
{
	return s->kills + s->kills_attach + s->kills_detach + s->power_cuts + s->takeovers;
}

static void summary(const struct sim_stats *s, uint64_t took)
{
	printf("sim: %" PRIu64 " seeds, %" PRIu64 " steps, %" PRIu64 " writes, %" PRIu64
	       " reads, %" PRIu64 " flushes\n",
	       s->seeds, s->steps, s->ops, s->reads, s->flushes);
	printf("sim: %" PRIu64 " crashes: %" PRIu64 " daemons killed, %" PRIu64
	       " while attaching, %" PRIu64 " while detaching, %" PRIu64 " power cuts, %" PRIu64
	       " taken over alive; %" PRIu64 " of them at every step of a seed\n",
	       crashes(s), s->kills, s->kills_attach, s->kills_detach, s->power_cuts, s->takeovers,
	       s->points);
	printf("sim: %" PRIu64 " attaches (%" PRIu64 " adopted entries, %" PRIu64
	       " kernels told intact, %" PRIu64 " told lost), %" PRIu64 " detaches, %" PRIu64
	       " requests that outlived their sender\n",
	       s->attaches, s->adopted, s->intact, s->lost, s->detaches, s->ghosts);
	printf("sim: %" PRIu64 " dead segments deleted, in %" PRIu64 " of these seeds\n",
	       s->deleted, s->deleted_seeds);
	printf("sim: %" PRIu64 " flushes answered by a journal; %" PRIu64 " attaches found %" PRIu64
	       " writes in one; %" PRIu64 " batches parked; disks: %" PRIu64 " lost, %" PRIu64
	       " put back older, %" PRIu64 " failed; %" PRIu64 " journals set aside\n",
	       s->local, s->replayed, s->replayed_ops, s->parked, s->lost_disks, s->copies,
	       s->failed, s->refused);
	printf("sim: %" PRIu64 " changes of the store, looked at %" PRIu64
	       " times from another host; %.0f s simulated in %" PRIu64 " s: %.1fx\n",
	       s->mutations, s->checked, (double)s->sim_us / 1e6, took,
	       s->real_us ? (double)s->sim_us / (double)s->real_us : 0.0);
}

/* A seed in a process of its own. False: it failed, and has said so. */
static bool run_forked(uint64_t seed, uint64_t stride, struct sim_stats *st)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("sim: fork");
		return false;
	}
	if (!pid) {
		alarm(stride ? 3000 : 300);
		seed_run(seed, 0, stride, st);
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	if (WIFSIGNALED(status))
		fprintf(stderr, "sim: seed %" PRIu64 ": %s\n", seed,
			WTERMSIG(status) == SIGALRM ? "does not end" : strsignal(WTERMSIG(status)));
	fprintf(stderr, "replay: make sim SEED=%" PRIu64 " TRACE=1\n", seed);
	return false;
}

static int many(const struct options *o)
{
	struct sim_stats *st =
		mmap(NULL, sizeof(*st), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t t0 = seconds(), seed = o->first, i;
	bool ok = true;

	if (st == MAP_FAILED) {
		perror("sim: mmap");
		return 1;
	}
	printf("sim: seeds from %" PRIu64 " on\n", seed);
	for (i = 0; ok && i < o->seeds; i++)
		ok = run_forked(seed++, 0, st);
	for (i = 0; ok && i < o->point_seeds; i++)
		ok = run_forked(seed++, o->stride, st);
	for (; ok && seconds() - t0 < o->seconds; seed++)
		ok = run_forked(seed, seed % 4 ? 0 : 11, st);
	if (!ok)
		printf("sim: FAILED, seed %" PRIu64 ", the %" PRIu64 "th\n", seed - 1,
		       seed - o->first);
	summary(st, seconds() - t0);
	return ok ? 0 : 1;
}

static int one(const struct options *o)
{
	struct sim_stats st = { 0 };

	sim_tracing = o->trace;
	if (!seed_run(o->first, o->point, 0, &st))
		printf("sim: seed %" PRIu64 " ends before step %" PRIu64 "\n", o->first, o->point);
	if (o->trace)
		summary(&st, st.real_us / 1000000);
	printf("sim: seed %" PRIu64 ": passed, digest %016" PRIx64 "\n", o->first, sim_digest());
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .first = 1, .stride = 1 };
	char *end;
	int c;

	while ((c = getopt(argc, argv, "tp:f:n:P:s:")) != -1) {
		switch (c) {
		case 't':
			o.trace = true;
			break;
		case 'p':
			o.point = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			o.first = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			o.seeds = strtoull(optarg, NULL, 10);
			break;
		case 'P':
			o.point_seeds = strtoull(optarg, &end, 10);
			o.stride = *end == ',' ? strtoull(end + 1, NULL, 10) : 1;
			break;
		case 's':
			o.seconds = strtoull(optarg, NULL, 10);
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (optind < argc) {
		o.first = strtoull(argv[optind], NULL, 10);
		return one(&o);
	}
	if (!o.seeds && !o.point_seeds && !o.seconds) {
		fputs(usage, stderr);
		return 2;
	}
	return many(&o);
}
