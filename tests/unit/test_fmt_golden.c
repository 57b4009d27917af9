// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes of format version 1, written down. A small volume with fixed keys, times and random
 * numbers is made by the format's own code and must be, bit for bit, the one in
 * tests/format/golden/; tests/format/reader.py, which knows docs/format.md only, must find in that
 * one what was put in.
 *
 * A change that fails here breaks every volume there is. ZEROFS_GOLDEN_UPDATE=1 writes the files
 * anew; that is for a new format version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "format/fmt_arena.h"
#include "format/fmt_head.h"
#include "format/fmt_journal.h"
#include "format/fmt_name.h"
#include "format/fmt_run.h"
#include "format/fmt_seg.h"
#include "format/fmt_state.h"
#include "lib/export.h"
#include "lib/smallworld.h"
#include "lib/tempdir.h"
#include "lib/testrand.h"
#include "lib/vol.h"
#include "store/mem.h"
#include "volume/keys.h"

#define GOLDEN	   "tests/format/golden"
#define READER	   "/usr/bin/python3 tests/format/reader.py"
#define PASSPHRASE "correct horse battery staple"

#define NR_DEVS	   2
#define BLOCKS	   64u
#define WNO(n)	   ((1ull << 32) + (n))
#define TIME(n)	   (1700000000000000ull + (n))

static const uint8_t uuid[16] = {
	0xde, 0xad, 0xbe, 0xef, 0, 1, 0x42, 3, 0x84, 5, 6, 7, 8, 9, 10, 11
};
static const char keyfile[] = "a key file of the golden volume\n";

/* Where a block's data lies. */
struct place {
	bool data;
	struct fmt_extent x;
};

struct golden {
	struct smallworld w;
	struct keyring *kr;
	uint8_t content[NR_DEVS][BLOCKS * FMT_BLOCK_SIZE];
	struct place map[NR_DEVS][BLOCKS];
	struct fmt_segrec recs[8];
	unsigned int nr_recs;
	uint8_t chain[FMT_HASH_LEN];
	uint8_t nonce[FMT_NONCE_LEN];
	struct fmt_head head;
};

/* A segment in the making. */
struct seg {
	struct fmt_frame f[8];
	struct fmt_entry e[16];
	struct fmt_table t;
	uint8_t sealed[8][FMT_FRAME_MAX_STORED];
	struct fmt_seg s;
	struct fmt_segkey k;
};

static void put(struct golden *g, const char *name, const void *p, size_t len)
{
	assert_int_equal(mem_set(g->w.mem, name, p, len), 0);
}

static void seg_begin(struct golden *g, struct seg *x, uint64_t seq, uint64_t first, uint64_t last)
{
	memset(x, 0, sizeof(*x));
	x->t = (struct fmt_table){ .frames = x->f, .entries = x->e };
	x->s = (struct fmt_seg){ .type = FMT_SEG_DATA,
				 .key_gen = 1,
				 .epoch = 2,
				 .seq = seq,
				 .wno_first = first,
				 .wno_last = last,
				 .created_us = TIME(seq) };
	if (seq > 17)
		x->s.resume_at = seq; /* all before it was durable */
	memcpy(x->s.uuid, uuid, sizeof(uuid));
	memcpy(x->s.nonce, g->nonce, sizeof(g->nonce));
	memcpy(x->s.prev_hash, g->chain, sizeof(g->chain));
	fmt_segkey_salt(x->s.salt);
	fmt_seg_key(&x->k, &x->s, keys_data(g->kr, 1));
}

static void add_entry(struct seg *x, struct fmt_entry e)
{
	x->e[x->t.nr_entries++] = e;
}

/* A frame of @blocks blocks that hold byte @fill, or with @fill < 0 random ones; no entry yet. */
static uint32_t add_frame(struct golden *g, struct seg *x, uint32_t dev, uint64_t lba,
			  uint16_t blocks, int fill)
{
	/* A zstd frame by hand (the library's output may change): one block, a run of one byte. */
	uint8_t rle[13] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0 };
	uint32_t n = x->t.nr_frames++, len = blocks * FMT_BLOCK_SIZE, hdr = len << 3 | 1 << 1 | 1;
	uint8_t *data = g->content[dev] + lba * FMT_BLOCK_SIZE;
	struct fmt_frame *f = &x->f[n];
	le32 v = le_32(len);

	*f = (struct fmt_frame){ .dev = dev,
				 .lba = lba,
				 .blocks = blocks,
				 .codec = fill < 0 ? FMT_CODEC_RAW : FMT_CODEC_ZSTD };
	if (fill < 0) {
		for (uint32_t i = 0; i < len; i++)
			data[i] = (uint8_t)testrand_u64();
		assert_int_equal(fmt_frame_seal(&x->k, n, f, data, len, x->sealed[n]), 0);
		return n;
	}
	memset(data, fill, len);
	memcpy(rle + 5, v.b, 4);
	v = le_32(hdr);
	memcpy(rle + 9, v.b, 3);
	rle[12] = (uint8_t)fill;
	assert_int_equal(fmt_frame_seal(&x->k, n, f, rle, sizeof(rle), x->sealed[n]), 0);
	return n;
}

static void add_data(struct seg *x, uint64_t wno, uint32_t frame, uint16_t block, uint32_t blocks)
{
	add_entry(x, (struct fmt_entry){ .kind = FMT_E_DATA,
					 .wno = wno,
					 .frame = frame,
					 .block = block,
					 .blocks = blocks,
					 .dev = x->f[frame].dev,
					 .lba = x->f[frame].lba + block });
}

static void add_hole(struct golden *g, struct seg *x, uint8_t kind, uint64_t wno, uint32_t dev,
		     uint64_t lba, uint32_t blocks)
{
	add_entry(x, (struct fmt_entry){
			     .kind = kind, .wno = wno, .dev = dev, .lba = lba, .blocks = blocks });
	memset(g->content[dev] + lba * FMT_BLOCK_SIZE, 0, blocks * FMT_BLOCK_SIZE);
}

/* Enters what the segment says into the map, as a reader would. */
static void apply(struct golden *g, const struct seg *x)
{
	for (uint32_t i = 0; i < x->t.nr_entries; i++) {
		const struct fmt_entry *e = &x->e[i];

		if (e->kind == FMT_E_VOID)
			continue;
		for (uint32_t j = 0; j < e->blocks; j++) {
			struct place *p = &g->map[e->dev][e->lba + j];
			const struct fmt_frame *f = &x->f[e->frame];

			p->data = e->kind == FMT_E_DATA;
			p->x = (struct fmt_extent){
				.dev = e->dev,
				.blocks = 1,
				.lba = e->lba + j,
				.birth = e->wno,
				.seq = x->s.seq,
				.frame_off = (uint32_t)f->off,
				.stored_len = f->stored_len,
				.block = (uint8_t)(e->block + j),
				.frame_blocks = (uint8_t)f->blocks,
				.codec = f->codec,
			};
		}
	}
}

static void seg_end(struct golden *g, struct seg *x)
{
	uint8_t footer[FMT_SEG_FOOTER_LEN];
	char name[FMT_NAME_MAX];
	struct buf b = BUF_INIT;

	assert_int_equal(fmt_seg_seal(&b, &x->s, &x->t, &x->k, keys_get(g->kr, KEYS_HEADER)), 0);
	fmt_seg_frame_offsets(&x->s, &x->t);
	for (uint32_t i = 0; i < x->t.nr_frames; i++)
		buf_put(&b, x->sealed[i], x->f[i].stored_len);
	fmt_seg_footer(footer, crc32c(0, b.data, b.len));
	buf_put(&b, footer, sizeof(footer));
	assert_int_equal(buf_err(&b), 0);
	fmt_name_seg(name, x->s.seq);
	put(g, name, b.data, b.len);
	buf_free(&b);
	memcpy(g->chain, x->s.hash, sizeof(g->chain));
	apply(g, x);
	g->recs[g->nr_recs] = (struct fmt_segrec){
		.seq = x->s.seq,
		.epoch = x->s.epoch,
		.key_gen = 1,
		.table_len = x->s.table_len,
		.nr_frames = x->s.nr_frames,
		.data_blocks = x->s.data_blocks,
		.object_len = x->s.object_len,
		.wno_first = x->s.wno_first,
		.wno_last = x->s.wno_last,
		.created_us = x->s.created_us,
	};
	memcpy(g->recs[g->nr_recs].salt, x->s.salt, sizeof(x->s.salt));
	memcpy(g->recs[g->nr_recs].hash, x->s.hash, sizeof(x->s.hash));
	g->nr_recs++;
}

static void put_fence(struct golden *g)
{
	struct fmt_seg s = { .type = FMT_SEG_FENCE,
			     .epoch = 2,
			     .seq = 1,
			     .resume_at = 17,
			     .resume_wno = WNO(0),
			     .created_us = TIME(1) };
	uint8_t footer[FMT_SEG_FOOTER_LEN];
	char name[FMT_NAME_MAX];
	struct buf b = BUF_INIT;

	memcpy(s.uuid, uuid, sizeof(uuid));
	memcpy(s.nonce, g->nonce, sizeof(g->nonce));
	memset(s.journal, 0x11, sizeof(s.journal));
	assert_int_equal(fmt_seg_seal(&b, &s, NULL, NULL, keys_get(g->kr, KEYS_HEADER)), 0);
	fmt_seg_footer(footer, crc32c(0, b.data, b.len));
	buf_put(&b, footer, sizeof(footer));
	fmt_name_seg(name, s.seq);
	put(g, name, b.data, b.len);
	buf_free(&b);
	memcpy(g->chain, s.hash, sizeof(g->chain));
}

static void finish_run(struct golden *g, struct fmt_run_writer *w, struct fmt_run_ref *ref)
{
	char name[FMT_NAME_MAX];
	struct buf b = BUF_INIT;

	assert_int_equal(fmt_run_finish(w, &b, ref), 0);
	fmt_run_writer_free(w);
	fmt_name_run(name, ref->version, ref->id);
	put(g, name, b.data, b.len);
	buf_free(&b);
}

/* What of the segment the map names: block by block, frame by frame. */
static void count_live(struct golden *g, struct fmt_segrec *r)
{
	struct {
		uint32_t off, live, bytes;
	} f[16] = { { 0, 0, 0 } };
	uint32_t i, k;

	for (i = 0; i < NR_DEVS * BLOCKS; i++) {
		const struct place *p = &g->map[i / BLOCKS][i % BLOCKS];

		if (!p->data || p->x.seq != r->seq)
			continue;
		for (k = 0; f[k].off && f[k].off != p->x.frame_off; k++)
			;
		assert_true(k < 16);
		f[k].off = p->x.frame_off;
		f[k].live++;
		f[k].bytes = p->x.stored_len * f[k].live / p->x.frame_blocks;
		r->live_blocks++;
	}
	for (k = 0; k < 16; k++)
		r->live_bytes += f[k].bytes;
}

static void put_manifest(struct golden *g, uint64_t version, bool with_runs)
{
	struct fmt_dev devs[NR_DEVS] = {
		{ .id = 0, .name = "data", .size = BLOCKS * FMT_BLOCK_SIZE, .death = UINT64_MAX },
		{ .id = 1,
		  .name = "log",
		  .size = BLOCKS * FMT_BLOCK_SIZE,
		  .flags = FMT_DEV_RO,
		  .death = UINT64_MAX },
	};
	struct fmt_run_ref runs[2];
	struct fmt_manifest m = { .version = version,
				  .epoch = 2,
				  .created_us = TIME(100),
				  .replay_from = g->head.replay_from,
				  .last_wno = g->head.last_wno,
				  .next_dev_id = NR_DEVS,
				  .nr_devs = NR_DEVS,
				  .devs = devs,
				  .runs = runs,
				  .nr_runs = with_runs ? 2 : 0 };
	const uint8_t *key = keys_get(g->kr, KEYS_RUN);
	struct fmt_run_writer *w;
	char name[FMT_NAME_MAX];
	struct buf b = BUF_INIT;

	if (with_runs) {
		w = fmt_run_writer_new(uuid, version, FMT_RUN_SEGMENTS, 1, key);
		assert_non_null(w);
		for (unsigned int i = 0; i < g->nr_recs; i++) {
			count_live(g, &g->recs[i]);
			assert_int_equal(fmt_run_add_segrec(w, &g->recs[i]), 0);
		}
		finish_run(g, w, &runs[0]);
		w = fmt_run_writer_new(uuid, version, FMT_RUN_EXTENTS, 1, key);
		assert_non_null(w);
		for (unsigned int d = 0; d < NR_DEVS; d++) {
			for (unsigned int i = 0; i < BLOCKS; i++) {
				struct fmt_extent tomb = {
					.dev = d, .lba = i, .blocks = 1, .birth = 1, .tomb = 1
				};

				if (!g->map[d][i].data && i % 16)
					continue;
				m.mapped_blocks += g->map[d][i].data;
				assert_int_equal(fmt_run_add_extent(w, g->map[d][i].data ?
									       &g->map[d][i].x :
									       &tomb),
						 0);
			}
		}
		finish_run(g, w, &runs[1]);
	}
	m.id = testrand_u64();
	memcpy(m.chain, g->head.chain, sizeof(m.chain));
	assert_int_equal(fmt_manifest_seal(&b, &m, uuid, keys_get(g->kr, KEYS_MANIFEST),
					   g->head.manifest_hash),
			 0);
	fmt_name_manifest(name, version, m.id);
	put(g, name, b.data, b.len);
	buf_free(&b);
	g->head.manifest_version = version;
	g->head.manifest_id = m.id;
}

static void put_head(struct golden *g, uint64_t version, uint64_t epoch, uint32_t flags)
{
	uint8_t out[FMT_HEAD_LEN];
	char name[FMT_NAME_MAX];

	g->head.version = version;
	g->head.epoch = epoch;
	g->head.flags = flags;
	g->head.created_us = TIME(version);
	memcpy(g->head.nonce, g->nonce, sizeof(g->nonce));
	assert_int_equal(fmt_head_seal(out, &g->head, uuid, keys_get(g->kr, KEYS_HEAD)), 0);
	fmt_name_head(name, version);
	put(g, name, out, sizeof(out));
}

static void put_segments(struct golden *g)
{
	static struct seg x;
	uint32_t f;

	/* Raw and compressed frames, on both devices; parts of two writes in one frame. */
	seg_begin(g, &x, 17, 1, WNO(4));
	add_entry(&x, (struct fmt_entry){ .kind = FMT_E_VOID, .wno = 1, .blocks = UINT32_MAX });
	add_entry(&x, (struct fmt_entry){ .kind = FMT_E_VOID, .wno = WNO(0), .blocks = 1 });
	f = add_frame(g, &x, 0, 0, 4, -1);
	add_data(&x, WNO(1), f, 0, 4);
	f = add_frame(g, &x, 0, 8, 5, 0x5a);
	add_data(&x, WNO(2), f, 0, 2);
	f = add_frame(g, &x, 1, 2, 1, -1);
	add_data(&x, WNO(3), f, 0, 1);
	add_data(&x, WNO(4), 1, 2, 3);
	seg_end(g, &x);

	/* Overwritten, discarded, zeroed; the last blocks of a device. */
	seg_begin(g, &x, 18, WNO(5), WNO(9));
	f = add_frame(g, &x, 0, 2, 1, 0x33);
	add_data(&x, WNO(5), f, 0, 1);
	add_hole(g, &x, FMT_E_DISCARD, WNO(6), 0, 9, 2);
	add_hole(g, &x, FMT_E_ZERO, WNO(7), 1, 1, 4);
	f = add_frame(g, &x, 1, BLOCKS - 2, 2, 0x44);
	add_data(&x, WNO(8), f, 0, 2);
	f = add_frame(g, &x, 1, 10, 32, 0x55);
	add_data(&x, WNO(9), f, 0, 32);
	seg_end(g, &x);
	g->head.replay_from = 19;
	g->head.last_wno = WNO(9);
	memcpy(g->head.chain, g->chain, sizeof(g->chain));
	put_manifest(g, 3, true);
	put_head(g, 3, 2, 0);

	/*
	 * Behind the manifest: a reader has to replay it. Numbers 11 and 12 were never
	 * acknowledged.
	 */
	seg_begin(g, &x, 19, WNO(10), WNO(14));
	f = add_frame(g, &x, 0, 3, 2, 0x66);
	add_data(&x, WNO(10), f, 0, 2);
	add_entry(&x, (struct fmt_entry){ .kind = FMT_E_VOID, .wno = WNO(11), .blocks = 2 });
	add_hole(g, &x, FMT_E_DISCARD, WNO(13), 1, 20, 4);
	f = add_frame(g, &x, 1, 21, 1, -1);
	add_data(&x, WNO(14), f, 0, 1);
	seg_end(g, &x);
}

static void make(struct golden *g)
{
	const struct keys_secret file = { KEYS_KEYFILE, keyfile, sizeof(keyfile) - 1 };
	const struct keys_secret pass = { KEYS_PASSPHRASE, PASSPHRASE, sizeof(PASSPHRASE) - 1 };
	uint32_t id;

	memset(g, 0, sizeof(*g));
	testrand_seed(20250701);
	smallworld_init(&g->w);
	assert_int_equal(keys_create(&g->kr, &g->w.env, uuid, "golden", &file, KEYS_COST_MIN,
				     "the key file"),
			 0);
	assert_int_equal(keys_add(g->kr, &g->w.env, &pass, KEYS_COST_MIN, "the passphrase", &id),
			 0);
	for (unsigned int i = 0; i < sizeof(g->nonce); i++)
		g->nonce[i] = (uint8_t)testrand_u64();
	g->head = (struct fmt_head){
		.window = 16, .keys_version = 2, .replay_from = 1, .host = "golden-host"
	};
	put_manifest(g, 1, false);
	put_head(g, 1, 1, FMT_HEAD_CLEAN);
	g->head.journal_state = FMT_JOURNAL_OPEN;
	memset(g->head.journal, 0x11, sizeof(g->head.journal));
	strcpy(g->head.journal_host, "golden-host");
	put_head(g, 2, 2, 0);
	put_fence(g);
	put_segments(g);
}

static void end(struct golden *g)
{
	keys_free(g->kr);
	smallworld_end(&g->w);
}

/* ---- the tests --------------------------------------------------------------------------- */

static unsigned int compared;

/* Compares with the file, or writes it. */
static void golden_file(const char *name, const void *p, size_t len)
{
	char path[256];
	uint8_t *have;
	size_t have_len = 0;

	snprintf(path, sizeof(path), GOLDEN "/%s", name);
	if (getenv("ZEROFS_GOLDEN_UPDATE"))
		export_write(path, p, len);
	have = export_read(path, &have_len);
	if (!have)
		fail_msg("%s: missing (tests run from the top of the tree)", path);
	if (have_len != len || memcmp(have, p, len))
		fail_msg("%s: not what this program writes: the format has changed", path);
	free(have);
	compared++;
}

static void compare(void *ctx, const char *name, const uint8_t *p, size_t len)
{
	char sub[128];

	(void)ctx;
	snprintf(sub, sizeof(sub), "volume/%s", name);
	golden_file(sub, p, len);
}

static unsigned int count_files(void)
{
	FILE *f = popen("find " GOLDEN "/volume -type f | wc -l", "r");
	unsigned int n = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static struct golden *the_volume(void)
{
	static struct golden g;

	make(&g);
	return &g;
}

static void volume_bytes(void **state)
{
	struct golden *g = the_volume();

	(void)state;
	compared = 0;
	export_each(g->w.mem, compare, NULL);
	assert_int_equal(compared, 2 + 3 + 2 + 2 + 4); /* keys, heads, manifests, runs, log */
	assert_int_equal(count_files(), compared);
	golden_file("key", keyfile, sizeof(keyfile) - 1);
	end(g);
}

static void local_bytes(void **state)
{
	struct fmt_state s = { .head_version = 3,
			       .epoch = 2,
			       .keys_version = 2,
			       .commit_seq = 19,
			       .commit_wno = WNO(14),
			       .saved_us = TIME(200) };
	struct fmt_arena a = { .total_len = 1 << 20,
			       .data_off = 64 << 10,
			       .data_len = 960 << 10,
			       .index_off = 4096,
			       .nr_entries = 2,
			       .extent_len = 64 << 10,
			       .write_off = 0,
			       .write_len = 512 << 10,
			       .epoch = 2,
			       .created_us = TIME(1) };
	struct fmt_arena_rec write = {
		.wno = WNO(15), .lba = 7, .off = 8192, .dev = 1, .blocks = 2, .op = FMT_ARENA_WRITE
	};
	struct fmt_arena_rec zeroes = { .wno = WNO(16),
					.lba = 1ull << 40,
					.dev = 0,
					.blocks = 1 << 20,
					.op = FMT_ARENA_ZEROES,
					.flags = FMT_ARENA_NOUNMAP };
	static uint8_t index[FMT_ARENA_HDR_LEN + 2 * FMT_ARENA_ENTRY_LEN]
		__attribute__((aligned(64)));
	struct fmt_arena_entry *e = (void *)(index + FMT_ARENA_HDR_LEN);
	uint8_t out[FMT_STATE_LEN];

	(void)state;
	memset(s.commit_hash, 0x77, sizeof(s.commit_hash));
	fmt_state_encode(out, &s, uuid);
	golden_file("state", out, sizeof(out));
	fmt_arena_init(index, &a, uuid);
	fmt_arena_set(&e[0], &write);
	fmt_arena_set(&e[1], &zeroes);
	golden_file("arena", index, sizeof(index));
}

static void gc_bytes(void **state)
{
	static const uint8_t key[FMT_KEY_LEN] = { 1, 2, 3 }, hkey[FMT_KEY_LEN] = { 4, 5, 6 };
	static const uint8_t salt[FMT_SALT_LEN] = { 7, 8, 9 };
	static const uint8_t body[] = "resized";
	static struct seg x;
	struct buf b = BUF_INIT;

	(void)state;
	/* Entries that nothing writes yet have their bytes all the same. */
	memset(&x, 0, sizeof(x));
	x.t = (struct fmt_table){ .frames = x.f, .entries = x.e };
	x.s = (struct fmt_seg){ .type = FMT_SEG_DATA,
				.key_gen = 1,
				.epoch = 9,
				.seq = 0x12345,
				.wno_first = 50,
				.wno_last = 60 };
	memcpy(x.s.uuid, uuid, sizeof(uuid));
	memcpy(x.s.salt, salt, sizeof(salt));
	fmt_seg_key(&x.k, &x.s, key);
	add_entry(&x, (struct fmt_entry){ .kind = FMT_E_MOVE,
					  .wno = 50,
					  .dev = 1,
					  .lba = 99,
					  .blocks = 3,
					  .birth = 7,
					  .from_seq = 3,
					  .from_off = 400,
					  .from_block = 2,
					  .to_seq = 8,
					  .to_frame = 5,
					  .to_block = 1 });
	add_entry(&x, (struct fmt_entry){ .kind = FMT_E_MOVE,
					  .wno = 51,
					  .dev = 1,
					  .lba = 102,
					  .blocks = 1,
					  .birth = 8,
					  .from_gc = 1,
					  .from_seq = 1,
					  .from_off = 800,
					  .to_seq = 8,
					  .to_frame = 6 });
	add_entry(&x, (struct fmt_entry){ .kind = FMT_E_CONTROL,
					  .wno = 52,
					  .control = FMT_C_DEV_RESIZE,
					  .body = body,
					  .body_len = sizeof(body) - 1 });
	assert_int_equal(fmt_seg_seal(&b, &x.s, &x.t, &x.k, hkey), 0);
	golden_file("moves", b.data, b.len);
	buf_free(&b);
}

/* The beginning of a journal: what comes behind is zeros. */
static void journal_bytes(void **state)
{
	static uint8_t j[FMT_JOURNAL_RING_OFF + 4 * FMT_JOURNAL_BLOCK], data[2][FMT_BLOCK_SIZE];
	const struct fmt_journal_op ops[] = {
		{ .wno = WNO(15), .lba = 7, .dev = 1, .blocks = 1, .kind = FMT_JOURNAL_WRITE },
		{ .wno = WNO(16), .lba = 9, .dev = 0, .blocks = 5, .kind = FMT_JOURNAL_DISCARD },
		{ .wno = WNO(18), .lba = 3, .dev = 0, .blocks = 1, .kind = FMT_JOURNAL_WRITE },
		{ .wno = WNO(19),
		  .lba = 4,
		  .dev = 0,
		  .blocks = 1 << 20,
		  .kind = FMT_JOURNAL_ZEROES,
		  .flags = FMT_JOURNAL_NOUNMAP },
	};
	const uint8_t *const blocks[] = { data[0], data[1] };
	struct fmt_journal_sb sb = { .generation = 1,
				     .size = FMT_JOURNAL_MIN_SIZE,
				     .start_wno = WNO(14),
				     .epoch = 2,
				     .created_us = TIME(300),
				     .saved_us = TIME(300),
				     .clean = true,
				     .host = "golden-host" };
	struct fmt_journal_rec r = { .type = FMT_JOURNAL_OPS,
				     .epoch = 2,
				     .first = WNO(15),
				     .last = WNO(20),
				     .flushed_to = WNO(14),
				     .store_to = WNO(13),
				     .nr_ops = 4,
				     .nr_blocks = 2,
				     .created_us = TIME(301) };
	struct golden *g = the_volume();
	const uint8_t *key = keys_get(g->kr, KEYS_JOURNAL);

	(void)state;
	memset(sb.journal, 0x11, sizeof(sb.journal));
	assert_int_equal(fmt_journal_sb_seal(j, &sb, uuid, key), 0);
	sb.generation++;
	sb.saved_us++;
	sb.clean = false;
	assert_int_equal(fmt_journal_sb_seal(j + FMT_JOURNAL_SB_LEN, &sb, uuid, key), 0);
	memset(data[0], 0x61, sizeof(data[0]));
	memset(data[1], 0x62, sizeof(data[1]));
	memcpy(r.journal, sb.journal, sizeof(r.journal));
	assert_int_equal(fmt_journal_seal(j + FMT_JOURNAL_RING_OFF, &r, ops, blocks, uuid, key), 0);
	memcpy(r.prev, r.hash, sizeof(r.prev));
	r.pos = r.len;
	r.type = FMT_JOURNAL_PAD;
	r.len = 2 * FMT_JOURNAL_BLOCK;
	r.first = r.last = r.nr_ops = r.nr_blocks = 0;
	assert_int_equal(
		fmt_journal_seal(j + FMT_JOURNAL_RING_OFF + r.pos, &r, NULL, NULL, uuid, key), 0);
	golden_file("journal", j, sizeof(j));
	end(g);
}

/* The reader lists operations and the hash of what each wrote. */
static void journal_reader(void **state)
{
	static const char want[] =
		"journal 11111111111111111111111111111111 of golden-host, generation 2, in use\n"
		"record 0: epoch 2, wno 4294967311 to 4294967316, flushed to 4294967310\n"
		"  4294967311 write, device 1, LBA 7, 1 blocks 74520bf2be15c6f2\n"
		"  4294967312 discard, device 0, LBA 9, 5 blocks\n"
		"  4294967314 write, device 0, LBA 3, 1 blocks 0ce9d723ab391959\n"
		"  4294967315 zeroes, device 0, LBA 4, 1048576 blocks, keep\n"
		"record 12288: pad, 8192 bytes\n";
	char got[4096];
	FILE *f = popen(READER " " GOLDEN "/volume --key-file " GOLDEN "/key --journal " GOLDEN
			       "/journal | sed -n '/^journal/,$p'",
			"r");

	(void)state;
	assert_non_null(f);
	got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
	pclose(f);
	assert_string_equal(got, want);
}

/* What the reader says of golden device @dev must be what was put in. */
static void read_back(const struct golden *g, const char *how, unsigned int dev)
{
	char *dir = tempdir_make(), cmd[512], path[256];
	uint8_t *got;
	size_t len = 0;
	int rc;

	snprintf(path, sizeof(path), "%s/out", dir);
	snprintf(cmd, sizeof(cmd), READER " " GOLDEN "/volume %s %u %s > %s/list", how, dev, path,
		 dir);
	rc = system(cmd);
	if (!WIFEXITED(rc) || WEXITSTATUS(rc))
		fail_msg("%s: status %d", cmd, rc);
	got = export_read(path, &len);
	assert_non_null(got);
	assert_int_equal(len, sizeof(g->content[dev]));
	assert_memory_equal(got, g->content[dev], len);
	free(got);
	tempdir_remove(dir);
}

static void independent_reader(void **state)
{
	struct golden *g = the_volume();

	(void)state;
	read_back(g, "--key-file " GOLDEN "/key", 0);
	read_back(g, "--key-file " GOLDEN "/key", 1);
	read_back(g, "--passphrase '" PASSPHRASE "'", 1);
	/* It does say no. */
	assert_int_not_equal(
		system(READER " " GOLDEN "/volume --passphrase wrong > /dev/null 2>&1"), 0);
	end(g);
}

/* And so must what the engine says: it attaches to a copy, replays and serves it. */
static void engine(void **state)
{
	struct golden *g = the_volume();
	struct vol from, w;
	uint8_t *got = malloc(BLOCKS * FMT_BLOCK_SIZE);

	(void)state;
	assert_non_null(got);
	memset(&from, 0, sizeof(from));
	from.mem = g->w.mem;
	from.kr = g->kr;
	from.now = 1;
	volume_opts_init(&from.opts);
	vol_clone(&w, &from);
	assert_int_equal(vol_attach(&w, false), 0);
	assert_true(w.rec.recovered_wno == WNO(14));
	assert_int_equal(w.rec.segments_replayed, 1);
	assert_int_equal(w.rec.epoch, 3);
	for (uint32_t dev = 0; dev < NR_DEVS; dev++) {
		assert_int_equal(vol_read(&w, dev, 0, BLOCKS, got), 0);
		assert_memory_equal(got, g->content[dev], BLOCKS * FMT_BLOCK_SIZE);
	}
	free(got);
	vol_end(&w);
	end(g);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_bytes),	 cmocka_unit_test(local_bytes),
		cmocka_unit_test(journal_bytes), cmocka_unit_test(journal_reader),
		cmocka_unit_test(gc_bytes),	 cmocka_unit_test(independent_reader),
		cmocka_unit_test(engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
