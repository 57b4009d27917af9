// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stamped writes: a history of writes, discards and flushes over one or more devices in which
 * every 512 B sector says which write put it there, and a checker that finds out of which prefix
 * of that history the devices hold the outcome.
 *
 * The history is a function of (seed, number of devices, blocks, discards, fua) alone: operation
 * number s (the *sequence number*, from 1) is derived from s, so that the checker needs no record
 * of what was written. Operations are issued one at a time, so their order is total, over all
 * devices together. After each flush (and each FUA write) "flushed S" goes into the log, which must
 * lie where a crash does not reach it.
 *
 *   write   issue operations start+1 .. ops; reads back ranges of what it wrote meanwhile
 *   check   exit status 0: the devices hold exactly the outcome of operations 1..S with
 *           S >= the last flushed one; 3: of a prefix that is too short (a LOSS); 4: of no prefix
 *           at all; 5: a sector that was never written so (torn, misplaced, foreign, damaged)
 *   show    prints the stamp of every block that holds one
 *
 * Exit status 1: an I/O error; 2: usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK	   4096u
#define SECTOR	   512u
#define MAX_DEVS   8
#define MAX_BLOCKS 64u /* of one operation: 256 KiB */
#define MAGIC	   0x53544d505a45524fULL
#define DAMAGED	   UINT64_MAX

enum { EXIT_IO = 1, EXIT_USAGE = 2, EXIT_LOSS = 3, EXIT_NO_PREFIX = 4, EXIT_DAMAGE = 5 };

/* One sector as it lies on the device. `sum` covers all that precedes it. */
struct stamp {
	uint64_t magic;
	uint32_t tag; /* names the volume */
	uint32_t dev;
	uint64_t sector;
	uint64_t seq;
	uint64_t payload[59];
	uint64_t sum;
};
_Static_assert(sizeof(struct stamp) == SECTOR, "a stamp fills a sector");

enum op_kind { OP_WRITE, OP_FUA, OP_DISCARD };

struct op {
	enum op_kind kind;
	uint32_t dev;
	uint64_t block;
	uint32_t nblocks;
};

static struct {
	uint64_t ops, seed, blocks, start, flush_every, flushed, delay_us;
	uint32_t tag, discard_pct, fua_pct, read_pct;
	const char *log;
	int ndevs;
	int fd[MAX_DEVS];
	const char *name[MAX_DEVS];
	bool is_file[MAX_DEVS];
} g = { .ops = 1000, .seed = 1, .blocks = 4096 };

static volatile sig_atomic_t stopping;

static void on_term(int sig)
{
	(void)sig;
	stopping = 1;
}

static void __attribute__((noreturn, format(printf, 2, 3))) die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("stamp: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(status);
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Operation number @seq of the history. */
static void op_of(uint64_t seq, struct op *op)
{
	uint64_t r = mix(g.seed * 0x100000001b3ULL + seq), s = mix(r), t = mix(s);
	uint32_t pct = t % 100, max = (t >> 32) % 4 ? 8 : MAX_BLOCKS;

	op->dev = r % (unsigned int)g.ndevs;
	op->nblocks = 1 + (r >> 32) % max;
	if (op->nblocks > g.blocks)
		op->nblocks = g.blocks;
	op->block = s % (g.blocks - op->nblocks + 1);
	if (pct < g.discard_pct)
		op->kind = OP_DISCARD;
	else if (pct < g.discard_pct + g.fua_pct)
		op->kind = OP_FUA;
	else
		op->kind = OP_WRITE;
}

/* FNV-1a over words: not the checksum of anything that is being tested. */
static uint64_t stamp_sum(const struct stamp *s)
{
	const uint64_t *w = (const uint64_t *)s;
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < offsetof(struct stamp, sum) / 8; i++)
		h = (h ^ w[i]) * 0x100000001b3ULL;
	return h;
}

static void stamp_fill(struct stamp *s, uint32_t dev, uint64_t sector, uint64_t seq)
{
	uint64_t x = mix(seq ^ sector << 24);

	s->magic = MAGIC;
	s->tag = g.tag;
	s->dev = dev;
	s->sector = sector;
	s->seq = seq;
	/* A quarter noise, the rest repeats: compresses, but not to nothing. */
	for (size_t i = 0; i < 59; i++)
		s->payload[i] = i % 4 ? seq : (x = mix(x));
	s->sum = stamp_sum(s);
}

static bool is_zero(const void *p, size_t len)
{
	const uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		if (w[i])
			return false;
	return true;
}

/* The sequence number a block carries; 0: it reads as zero; DAMAGED (having said why): neither. */
static uint64_t block_seq(const void *data, uint32_t dev, uint64_t block)
{
	const struct stamp *s = data;
	uint64_t sector = block * (BLOCK / SECTOR);
	const char *why = NULL;

	if (is_zero(data, BLOCK))
		return 0;
	for (unsigned int i = 0; i < BLOCK / SECTOR && !why; i++, s++, sector++) {
		if (s->magic != MAGIC)
			why = "is no stamp";
		else if (s->sum != stamp_sum(s))
			why = "has a wrong checksum";
		else if (s->tag != g.tag || s->dev != dev)
			why = "belongs to another device";
		else if (s->sector != sector)
			why = "belongs to another address";
		else if (s->seq != ((const struct stamp *)data)->seq)
			why = "is of another write than the first of its block";
		if (why)
			fprintf(stderr,
				"stamp: %s sector %" PRIu64 " %s (seq %" PRIu64
				", tag %u, device %u, sector %" PRIu64 ")\n",
				g.name[dev], sector, why, s->seq, s->tag, s->dev, s->sector);
	}
	return why ? DAMAGED : ((const struct stamp *)data)->seq;
}

/* ---- the image: which write each block holds ------------------------------------------- */

static uint64_t *image_new(void)
{
	uint64_t *img = calloc(g.blocks * (unsigned int)g.ndevs, sizeof(*img));

	if (!img)
		die(EXIT_IO, "out of memory");
	return img;
}

static void image_apply(uint64_t *img, uint64_t seq)
{
	struct op op;

	op_of(seq, &op);
	for (uint32_t i = 0; i < op.nblocks; i++)
		img[op.dev * g.blocks + op.block + i] = op.kind == OP_DISCARD ? 0 : seq;
}

static void read_blocks(void *buf, uint32_t dev, uint64_t block, uint32_t nblocks)
{
	ssize_t n = pread(g.fd[dev], buf, nblocks * BLOCK, (off_t)(block * BLOCK));

	if (n != (ssize_t)(nblocks * BLOCK))
		die(EXIT_IO, "%s: read at block %" PRIu64 ": %s", g.name[dev], block,
		    n < 0 ? strerror(errno) : "short");
}

/* ---- write ------------------------------------------------------------------------------- */

static void log_line(int fd, const char *what, uint64_t seq)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, seq);

	if (fd >= 0 && write(fd, line, (size_t)n) != n)
		die(EXIT_IO, "cannot write the log: %s", strerror(errno));
}

static void write_op(const struct op *op, uint64_t seq, void *buf)
{
	struct iovec iov = { buf, (size_t)op->nblocks * BLOCK };
	uint64_t sector = op->block * (BLOCK / SECTOR),
		 range[2] = { op->block * BLOCK, iov.iov_len };
	struct stamp *s = buf;
	ssize_t n;

	if (op->kind == OP_DISCARD) {
		if (g.is_file[op->dev] ?
			    fallocate(g.fd[op->dev], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)range[0], (off_t)range[1]) :
			    ioctl(g.fd[op->dev], BLKDISCARD, range))
			die(EXIT_IO, "%s: discard %" PRIu64 ": %s", g.name[op->dev], seq,
			    strerror(errno));
		return;
	}
	for (uint32_t i = 0; i < op->nblocks * (BLOCK / SECTOR); i++)
		stamp_fill(s + i, op->dev, sector + i, seq);
	n = pwritev2(g.fd[op->dev], &iov, 1, (off_t)range[0], op->kind == OP_FUA ? RWF_DSYNC : 0);
	if (n != (ssize_t)iov.iov_len)
		die(EXIT_IO, "%s: write %" PRIu64 ": %s", g.name[op->dev], seq,
		    n < 0 ? strerror(errno) : "short");
}

/* Reads some range back: an acknowledged write is seen by every later read. */
static void read_back(const uint64_t *img, uint64_t seq, void *buf)
{
	uint64_t r = mix(~seq), got, want;
	uint32_t dev = r % (unsigned int)g.ndevs, nblocks = 1 + (r >> 32) % MAX_BLOCKS;
	uint64_t block;

	if (nblocks > g.blocks)
		nblocks = g.blocks;
	block = mix(r) % (g.blocks - nblocks + 1);
	read_blocks(buf, dev, block, nblocks);
	for (uint32_t i = 0; i < nblocks; i++) {
		got = block_seq((char *)buf + i * BLOCK, dev, block + i);
		want = img[dev * g.blocks + block + i];
		if (got == DAMAGED)
			exit(EXIT_DAMAGE);
		if (got != want)
			die(EXIT_DAMAGE,
			    "%s block %" PRIu64 " reads as write %" PRIu64 ", not %" PRIu64
			    " (after %" PRIu64 ")",
			    g.name[dev], block + i, got, want, seq);
	}
}

static int do_write(void)
{
	void *buf = aligned_alloc(BLOCK, MAX_BLOCKS * BLOCK);
	uint64_t *img = image_new(), seq;
	struct op op;
	int log = -1;

	if (!buf)
		die(EXIT_IO, "out of memory");
	if (g.log && (log = open(g.log, O_WRONLY | O_CREAT | O_APPEND, 0666)) < 0)
		die(EXIT_USAGE, "%s: %s", g.log, strerror(errno));
	signal(SIGTERM, on_term);
	for (seq = 1; seq <= g.start; seq++)
		image_apply(img, seq);
	for (seq = g.start + 1; seq <= g.ops && !stopping; seq++) {
		op_of(seq, &op);
		write_op(&op, seq, buf);
		image_apply(img, seq);
		if (op.kind == OP_FUA)
			log_line(log, "flushed", seq);
		if (g.flush_every && seq % g.flush_every == 0) {
			/* On any one device: a flush covers the whole volume. */
			if (fdatasync(g.fd[seq / g.flush_every % (unsigned int)g.ndevs]))
				die(EXIT_IO, "flush after %" PRIu64 ": %s", seq, strerror(errno));
			log_line(log, "flushed", seq);
		}
		if (mix(seq) % 100 < g.read_pct)
			read_back(img, seq, buf);
		if (g.delay_us)
			usleep((useconds_t)g.delay_us);
	}
	log_line(log, "issued", seq - 1);
	printf("stamp: issued up to %" PRIu64 "\n", seq - 1);
	return 0;
}

/* ---- check ------------------------------------------------------------------------------- */

/* The highest number in a "flushed" line; a last line cut short has no newline: it is left out. */
static uint64_t flushed_in_log(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[64];
	uint64_t max = 0, n;

	if (!f)
		die(EXIT_USAGE, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (strchr(line, '\n') && sscanf(line, "flushed %" SCNu64, &n) == 1 && n > max)
			max = n;
	fclose(f);
	return max;
}

static uint64_t *read_image(bool show)
{
	void *buf = aligned_alloc(BLOCK, MAX_BLOCKS * BLOCK);
	uint64_t *img = image_new(), damaged = 0, seq;

	if (!buf)
		die(EXIT_IO, "out of memory");
	for (int dev = 0; dev < g.ndevs; dev++) {
		for (uint64_t b = 0; b < g.blocks; b += MAX_BLOCKS) {
			uint32_t n = g.blocks - b < MAX_BLOCKS ? (uint32_t)(g.blocks - b) :
								 MAX_BLOCKS;

			read_blocks(buf, (uint32_t)dev, b, n);
			for (uint32_t i = 0; i < n; i++) {
				seq = block_seq((char *)buf + i * BLOCK, (uint32_t)dev, b + i);
				img[(unsigned int)dev * g.blocks + b + i] = seq;
				damaged += seq == DAMAGED;
				if (show && seq)
					printf("%s %" PRIu64 " %" PRIu64 "\n", g.name[dev], b + i,
					       seq);
			}
		}
	}
	free(buf);
	if (damaged)
		die(EXIT_DAMAGE, "%" PRIu64 " blocks are damaged", damaged);
	return img;
}

static int do_check(void)
{
	uint64_t *found = read_image(false), *img = image_new(),
		 n = g.blocks * (unsigned int)g.ndevs;
	uint64_t wrong = 0, newest = 0, best = 0, fewest, seq = 0;
	bool some = false;

	if (g.log)
		g.flushed = flushed_in_log(g.log);
	for (uint64_t i = 0; i < n; i++) {
		wrong += found[i] != 0;
		newest = found[i] > newest ? found[i] : newest;
	}
	fewest = wrong;
	/* Play the history from the start; after each step `wrong` blocks differ from the found. */
	for (;; seq++) {
		if (wrong == 0) {
			some = true;
			best = seq;
		}
		if (wrong < fewest)
			fewest = wrong;
		if ((some && seq >= g.flushed && best >= g.flushed) || seq == g.ops)
			break;
		struct op op;

		op_of(seq + 1, &op);
		for (uint32_t i = 0; i < op.nblocks; i++) {
			uint64_t at = op.dev * g.blocks + op.block + i;

			wrong -= img[at] != found[at];
			img[at] = op.kind == OP_DISCARD ? 0 : seq + 1;
			wrong += img[at] != found[at];
		}
	}
	if (!some)
		die(EXIT_NO_PREFIX,
		    "no prefix of the history: newest write found %" PRIu64
		    ", last flushed %" PRIu64 ", at best %" PRIu64 " blocks differ",
		    newest, g.flushed, fewest);
	if (best < g.flushed)
		die(EXIT_LOSS,
		    "LOSS: the devices hold the first %" PRIu64 " operations, but %" PRIu64
		    " had been flushed",
		    best, g.flushed);
	printf("stamp: the devices hold the first %" PRIu64 " operations; %" PRIu64
	       " had been flushed\n",
	       best, g.flushed);
	return 0;
}

/* ---- main -------------------------------------------------------------------------------- */

static void usage(void)
{
	die(EXIT_USAGE,
	    "usage: stamp write|check|show [OPTION...] DEVICE...\n"
	    "  all: --ops N --seed N --blocks N --tag N --discard PCT --fua PCT --log FILE\n"
	    "  write: --start N --flush-every N --read PCT --delay-us N; check: --flushed N");
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "ops", 1, NULL, 'o' },
		{ "seed", 1, NULL, 's' },
		{ "blocks", 1, NULL, 'b' },
		{ "tag", 1, NULL, 't' },
		{ "discard", 1, NULL, 'd' },
		{ "fua", 1, NULL, 'u' },
		{ "log", 1, NULL, 'l' },
		{ "start", 1, NULL, 'S' },
		{ "flush-every", 1, NULL, 'e' },
		{ "flushed", 1, NULL, 'F' },
		{ "read", 1, NULL, 'r' },
		{ "delay-us", 1, NULL, 'y' },
		{ 0 },
	};
	const char *cmd = argc > 1 ? argv[1] : "";
	bool writing = !strcmp(cmd, "write");
	struct stat st;
	int c;

	if (!writing && strcmp(cmd, "check") && strcmp(cmd, "show"))
		usage();
	optind = 2;
	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		uint64_t v = optarg ? strtoull(optarg, NULL, 0) : 0;

		switch (c) {
		case 'o':
			g.ops = v;
			break;
		case 's':
			g.seed = v;
			break;
		case 'b':
			g.blocks = v;
			break;
		case 't':
			g.tag = (uint32_t)v;
			break;
		case 'd':
			g.discard_pct = (uint32_t)v;
			break;
		case 'u':
			g.fua_pct = (uint32_t)v;
			break;
		case 'l':
			g.log = optarg;
			break;
		case 'S':
			g.start = v;
			break;
		case 'e':
			g.flush_every = v;
			break;
		case 'F':
			g.flushed = v;
			break;
		case 'r':
			g.read_pct = (uint32_t)v;
			break;
		case 'y':
			g.delay_us = v;
			break;
		default:
			usage();
		}
	}
	g.ndevs = argc - optind;
	if (g.ndevs < 1 || g.ndevs > MAX_DEVS || !g.blocks)
		usage();
	for (int i = 0; i < g.ndevs; i++) {
		g.name[i] = argv[optind + i];
		/* O_DIRECT: what is read comes from the device, not from the page cache. */
		g.fd[i] = open(g.name[i], (writing ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
		if (g.fd[i] < 0 || fstat(g.fd[i], &st))
			die(EXIT_IO, "%s: %s", g.name[i], strerror(errno));
		g.is_file[i] = S_ISREG(st.st_mode);
	}
	if (writing)
		return do_write();
	if (!strcmp(cmd, "show"))
		return free(read_image(true)), 0;
	return do_check();
}
