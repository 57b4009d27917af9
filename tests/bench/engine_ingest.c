// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sequential ingest with a FLUSH at the end, in store mode: against a bare upload of as many bytes
 * as were stored, and its CPU time against that of the codec alone on the same bytes. The CPU time
 * once more with a journal, and a FLUSH that it answers after every 64 MiB.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/aead.h"
#include "base/crc32c.h"
#include "lib/bench.h"

#define ROUNDS	3u
#define TOTAL	(1ull << 30) /* a round */
#define SOURCE	(64ull << 20)
#define REQUEST (256u << 10)
#define WAYS	16u
#define OBJECT	(8ull << 20)
#define JOURNAL (1ull << 30)
#define FLUSH	(64ull << 20) /* with a journal: one after so much */

static const uint8_t *data;

/* ---- the engine -------------------------------------------------------------------------- */

struct run {
	double us, cpu_us, stored;
};

/* A FLUSH after every @flush bytes. Ends when the store has everything. */
static struct run ingest(struct bench *b, uint64_t flush)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t stored = bench_puts(b).bytes, at = bench_now_us(), cpu = bench_cpu_us();
	struct run r;

	bench_must(q);
	for (uint64_t off = 0; off < TOTAL; off += REQUEST) {
		bench_io(b, 0, q, IO_WRITE, off / BENCH_BLOCK, REQUEST / BENCH_BLOCK,
			 data + off % SOURCE);
		if ((off + REQUEST) % flush == 0)
			bench_flush(b);
	}
	/* with a journal the last FLUSH says nothing of the store */
	while (bench_stats(b).dirty_bytes)
		usleep(1000);
	r.us = (double)(bench_now_us() - at);
	r.cpu_us = (double)(bench_cpu_us() - cpu);
	r.stored = (double)(bench_puts(b).bytes - stored);
	free(q);
	return r;
}

/* What the client's copy into the arena costs, which is the kernel's, not the daemon's. */
static double copy_cpu(void *to, uint64_t room)
{
	uint64_t cpu = bench_cpu_us();

	for (uint64_t off = 0; off < TOTAL; off += REQUEST)
		memcpy((char *)to + off % (room / REQUEST * REQUEST), data + off % SOURCE, REQUEST);
	return (double)(bench_cpu_us() - cpu);
}

/* In whole objects of about OBJECT bytes: a small one at the end would cost a PUT's time. */
static uint64_t upload(struct delay_conf conf, uint64_t bytes)
{
	uint64_t n = (bytes + OBJECT / 2) / OBJECT;

	return bench_upload(conf, bytes, (bytes + n - 1) / n, WAYS);
}

/* ---- the codec alone --------------------------------------------------------------------- */

struct codec_loop {
	pthread_t thread;
	uint64_t from, to;
	uint32_t frame;
	bool packs; /* else zstd is left out, as the engine's probe does */
	uint8_t *buf;
	uint32_t crc; /* so that nothing is left out */
};

static void *codec_loop(void *arg)
{
	struct codec_loop *c = arg;
	uint8_t *packed = c->buf, *out = c->buf + c->frame;
	uint8_t nonce[12] = { 0 }, tag[16], key[32] = { 1 };
	ZSTD_CCtx *z = ZSTD_createCCtx();
	uint64_t len = 0;

	bench_must(z && !ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, 1)));
	for (uint64_t off = c->from; off < c->to; off += c->frame) {
		const uint8_t *from = data + off % SOURCE;
		size_t n = c->frame;

		if (c->packs) {
			n = ZSTD_compress2(z, packed, c->frame - c->frame / 8, from, c->frame);
			bench_must(!ZSTD_isError(n));
			from = packed;
		}
		memcpy(nonce, &off, sizeof(off));
		aead_seal(&(struct aead){ key, nonce, NULL, 0 }, out + len, tag, from, n);
		c->crc = crc32c(c->crc, out + len, n);
		len = len + n > OBJECT ? 0 : len + n;
	}
	ZSTD_freeCCtx(z);
	return NULL;
}

/*
 * The same bytes in the same frames, in two loops at once, as the engine's workers disturb each
 * other too.
 */
static struct run codec(uint32_t frame, bool packs)
{
	size_t room = OBJECT + 2 * frame;
	uint8_t *buf = bench_data(BENCH_RANDOM, 2 * room);
	uint64_t cpu = bench_cpu_us(), at = bench_now_us();
	struct codec_loop c[2];
	struct run r = { 0 };

	for (uint32_t i = 0; i < 2; i++) {
		c[i] = (struct codec_loop){ .from = i * TOTAL / 2, .to = (i + 1) * TOTAL / 2 };
		c[i].frame = frame;
		c[i].packs = packs;
		c[i].buf = buf + i * room;
		bench_must(!pthread_create(&c[i].thread, NULL, codec_loop, &c[i]));
	}
	for (uint32_t i = 0; i < 2; i++)
		pthread_join(c[i].thread, NULL);
	r.us = (double)(bench_now_us() - at);
	r.cpu_us = (double)(bench_cpu_us() - cpu);
	bench_data_free(buf, 2 * room);
	return r;
}

struct result {
	double vs_upload, vs_bound, vs_codec;
};

static void job(enum bench_data kind, struct delay_conf conf, uint32_t rounds, const char *what,
		struct result *res)
{
	double rate[ROUNDS], bare[ROUNDS], encode[ROUNDS], cpu[ROUNDS], alone[ROUNDS],
		copies[ROUNDS], vs_upload[ROUNDS], vs_bound[ROUNDS], vs_codec[ROUNDS],
		gib = (double)TOTAL / (1 << 30);
	uint8_t *to = bench_data(kind, SOURCE);
	struct bench_place place;
	struct volume_opts o;
	struct bench b;

	data = bench_data(kind, SOURCE);
	bench_make(&place, 1ull << 30);
	volume_opts_init(&o);
	/* a quarter is for writes: 16 segments on their way are 256 MiB of data that packs 2:1 */
	o.memory = 2ull << 30;
	bench_rss_begin(place.mem);
	bench_start(&b, &place, conf, &o, NULL);
	ingest(&b, TOTAL); /* meets the arena's pages for the first time: the kernel's affair */
	for (uint32_t i = 0; i < rounds; i++) {
		struct run r = ingest(&b, TOTAL), c = codec(o.frame_bytes, kind == BENCH_HALF);
		double us = (double)upload(conf, (uint64_t)r.stored);

		copies[i] = copy_cpu(to, SOURCE) / gib / 1e6;
		alone[i] = c.cpu_us / gib / 1e6;
		cpu[i] = r.cpu_us / gib / 1e6 - copies[i];
		rate[i] = r.stored / r.us;
		bare[i] = r.stored / us;
		encode[i] = r.stored / c.us;
		vs_upload[i] = rate[i] / bare[i];
		vs_bound[i] = rate[i] / (bare[i] < encode[i] ? bare[i] : encode[i]);
		vs_codec[i] = cpu[i] / alone[i];
	}
	bench_say("%llu MiB of %s data, %u KiB a request, one client, then a flush: %.0f MB/s "
		  "stored; bare upload, %u PUTs of about %llu MiB at once: %.0f MB/s; the codec "
		  "alone, 2 threads: %.0f MB/s (medians of %u rounds; memory %llu MiB)",
		  TOTAL >> 20, what, REQUEST >> 10, bench_median(rate, rounds), WAYS, OBJECT >> 20,
		  bench_median(bare, rounds), bench_median(encode, rounds), rounds,
		  (unsigned long long)(o.memory >> 20));
	bench_say("CPU per GiB of %s data: engine %.2f s (without the client's copy, %.2f s); "
		  "%sChaCha20-Poly1305, CRC32C alone, frames of %u KiB: %.2f s",
		  what, bench_median(cpu, rounds), bench_median(copies, rounds),
		  kind == BENCH_HALF ? "zstd-1, " : "", o.frame_bytes >> 10,
		  bench_median(alone, rounds));
	res->vs_upload = bench_median(vs_upload, rounds);
	res->vs_bound = bench_median(vs_bound, rounds);
	res->vs_codec = bench_median(vs_codec, rounds);
	bench_memory(what, bench_rss_end(&b), o.memory);
	bench_stop(&b, true);
	bench_unmake(&place);
	bench_data_free(to, SOURCE);
	bench_data_free((void *)data, SOURCE);
}

/* Its own job: what the journal costs, the store apart. */
static double journal(void)
{
	double vs_codec[ROUNDS], cpu[ROUNDS], alone[ROUNDS], gib = (double)TOTAL / (1 << 30);
	uint8_t *to = bench_data(BENCH_HALF, SOURCE);
	struct volume_stats before, st;
	struct bench_place place;
	struct volume_opts o;
	struct bench b;

	data = bench_data(BENCH_HALF, SOURCE);
	bench_make(&place, 1ull << 30);
	bench_make_journal(&place, JOURNAL);
	volume_opts_init(&o);
	o.memory = 2ull << 30;
	o.flush_local = true;
	bench_rss_begin(place.mem);
	bench_start(&b, &place, DELAY_STANDARD, &o, NULL);
	ingest(&b, FLUSH);
	before = bench_stats(&b);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct run r = ingest(&b, FLUSH), c = codec(o.frame_bytes, true);

		alone[i] = c.cpu_us / gib / 1e6;
		cpu[i] = (r.cpu_us - copy_cpu(to, SOURCE)) / gib / 1e6;
		vs_codec[i] = cpu[i] / alone[i];
	}
	st = bench_stats(&b);
	bench_must(st.journal_active);
	bench_say(
		"%llu MiB of 2:1 data with a journal of %llu MiB, a flush after every %llu MiB: "
		"%.2f s of CPU per GiB (without the client's copy), the codec alone %.2f s "
		"(medians of %u rounds); of the bytes written the journal took %.2f times as many",
		TOTAL >> 20, JOURNAL >> 20, FLUSH >> 20, bench_median(cpu, ROUNDS),
		bench_median(alone, ROUNDS), ROUNDS,
		(double)(st.journal_bytes - before.journal_bytes) / (double)(ROUNDS * TOTAL));
	bench_memory("ingest with a journal", bench_rss_end(&b), o.memory);
	bench_stop(&b, true);
	bench_unmake(&place);
	bench_data_free(to, SOURCE);
	bench_data_free((void *)data, SOURCE);
	return bench_median(vs_codec, ROUNDS);
}

int main(void)
{
	const struct delay_conf slow = { 600000, 300000, 9000000, true };
	struct result res;

	job(BENCH_HALF, DELAY_STANDARD, ROUNDS, "2:1", &res);
	bench_figure("ingest_vs_upload", res.vs_upload, "x", "higher");
	bench_figure("ingest_vs_upload_or_codec", res.vs_bound, "x", "higher");
	bench_figure("ingest_cpu_vs_codec", res.vs_codec, "x", "lower");
	bench_figure("ingest_cpu_journal_vs_codec", journal(), "x", "lower");
	job(BENCH_RANDOM, DELAY_STANDARD, ROUNDS, "incompressible", &res);
	bench_figure("ingest_raw_vs_upload", res.vs_upload, "x", "higher");
	bench_figure("ingest_raw_vs_upload_or_codec", res.vs_bound, "x", "higher");
	/*
	 * Ten times as slow: the CPU has time enough, what is left is how well the ways are used.
	 */
	job(BENCH_HALF, slow, 1, "2:1 (store ten times as slow)", &res);
	bench_figure("ingest_vs_slow_upload", res.vs_upload, "x", "higher");
	return 0;
}
