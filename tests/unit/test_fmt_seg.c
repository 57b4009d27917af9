// SPDX-License-Identifier: GPL-2.0-or-later
/* Extent tables, segments, gc objects and fences. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "format/fmt_seg.h"
#include "lib/hostile.h"
#include "lib/testrand.h"

static const uint8_t uuid[16] = { 9, 8, 7 };
static const uint8_t kdata[FMT_KEY_LEN] = { 1 };
static const uint8_t hkey[FMT_KEY_LEN] = { 2 };
static const uint8_t control[] = "a device";

#define RAW1 FMT_FRAME_STORED(4096)

/* Two frames out of LBA order, and one entry of each kind. */
static struct fmt_frame frames[] = {
	{ .dev = 0, .lba = 1000, .blocks = 8, .codec = FMT_CODEC_ZSTD, .stored_len = 1024 },
	{ .dev = 0, .lba = 16, .blocks = 1, .codec = FMT_CODEC_RAW, .stored_len = RAW1 },
};

static struct fmt_entry entries[] = {
	{ .kind = FMT_E_DATA, .wno = 100, .lba = 1000, .blocks = 2, .frame = 0, .block = 0 },
	{ .kind = FMT_E_DATA, .wno = 100, .lba = 1004, .blocks = 4, .frame = 0, .block = 4 },
	{ .kind = FMT_E_DISCARD, .wno = 101, .dev = 3, .lba = 1ull << 40, .blocks = 1u << 20 },
	{ .kind = FMT_E_DATA, .wno = 102, .lba = 16, .blocks = 1, .frame = 1 },
	{ .kind = FMT_E_ZERO, .wno = 103, .dev = 0, .lba = 5, .blocks = 7 },
	{ .kind = FMT_E_VOID, .wno = 104, .blocks = 5 },
	{ .kind = FMT_E_DATA, .wno = 109, .lba = 1002, .blocks = 2, .frame = 0, .block = 2 },
	{ .kind = FMT_E_MOVE,
	  .wno = 110,
	  .dev = 1,
	  .lba = 77,
	  .blocks = 3,
	  .birth = 9,
	  .from_gc = 1,
	  .from_seq = 4,
	  .from_off = 4096,
	  .from_block = 1,
	  .to_seq = 6,
	  .to_frame = 2,
	  .to_block = 9 },
	{ .kind = FMT_E_CONTROL,
	  .wno = 111,
	  .control = FMT_C_DEV_ADD,
	  .body = control,
	  .body_len = sizeof(control) },
};

#define NR(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

static struct fmt_table table(void)
{
	struct fmt_table t = { .frames = frames,
			       .nr_frames = NR(frames),
			       .entries = entries,
			       .nr_entries = NR(entries) };

	return t;
}

static void same_entry(const struct fmt_entry *a, const struct fmt_entry *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_true(a->wno == b->wno);
	assert_int_equal(a->dev, b->dev);
	assert_true(a->lba == b->lba);
	assert_int_equal(a->blocks, b->blocks);
	assert_int_equal(a->frame, b->frame);
	assert_int_equal(a->block, b->block);
	if (a->kind == FMT_E_MOVE) {
		assert_int_equal(a->from_gc, b->from_gc);
		assert_true(a->birth == b->birth && a->from_seq == b->from_seq);
		assert_true(a->from_off == b->from_off && a->to_seq == b->to_seq);
		assert_int_equal(a->to_frame, b->to_frame);
		assert_int_equal(a->from_block, b->from_block);
		assert_int_equal(a->to_block, b->to_block);
	}
	if (a->kind == FMT_E_CONTROL) {
		assert_int_equal(a->control, b->control);
		assert_int_equal(a->body_len, b->body_len);
		assert_memory_equal(a->body, b->body, a->body_len);
	}
}

static void same_table(const struct fmt_table *a, const struct fmt_table *b)
{
	assert_int_equal(a->nr_frames, b->nr_frames);
	assert_int_equal(a->nr_entries, b->nr_entries);
	for (uint32_t i = 0; i < a->nr_frames; i++) {
		assert_int_equal(a->frames[i].dev, b->frames[i].dev);
		assert_true(a->frames[i].lba == b->frames[i].lba);
		assert_int_equal(a->frames[i].blocks, b->frames[i].blocks);
		assert_int_equal(a->frames[i].codec, b->frames[i].codec);
		assert_int_equal(a->frames[i].stored_len, b->frames[i].stored_len);
	}
	for (uint32_t i = 0; i < a->nr_entries; i++)
		same_entry(&a->entries[i], &b->entries[i]);
}

static int decode(struct fmt_table *t, const struct buf *b, uint32_t nf, uint32_t ne, uint64_t end)
{
	return fmt_table_decode(t, b->data, b->len, FMT_SEG_DATA, 100, 111, nf, ne, 500, end);
}

static void table_round_trip(void **state)
{
	struct fmt_table t = table(), back;
	struct buf b = BUF_INIT;
	uint64_t end = 500 + 1024 + RAW1;

	(void)state;
	assert_int_equal(fmt_table_encode(&b, &t, FMT_SEG_DATA, 100, 111), 0);
	assert_int_equal(decode(&back, &b, 2, NR(entries), end), 0);
	same_table(&t, &back);
	assert_int_equal(back.frames[0].off, 500);
	assert_int_equal(back.frames[1].off, 1524);
	fmt_table_free(&back);
	/* The counts and the room must be those of the header. */
	assert_int_equal(decode(&back, &b, 1, NR(entries), end), -EBADMSG);
	assert_int_equal(decode(&back, &b, 2, NR(entries) - 1, end), -EBADMSG);
	assert_int_equal(decode(&back, &b, 2, NR(entries) + 1, end), -EBADMSG);
	assert_int_equal(decode(&back, &b, UINT32_MAX, 2, end), -EBADMSG);
	assert_int_equal(decode(&back, &b, 2, UINT32_MAX, end), -EBADMSG);
	assert_int_equal(decode(&back, &b, 2, NR(entries), end - 1), -EBADMSG);
	assert_int_equal(decode(&back, &b, 2, NR(entries), end + 1), -EBADMSG);
	buf_free(&b);
}

/*
 * The decoder is only ever given what a tag has vouched for, but must cope with anything: each
 * change of the bytes is an error or a table that obeys the rules and encodes to just those bytes.
 */
static void table_garbage(void **state)
{
	struct fmt_table t = table(), back;
	struct buf b = BUF_INIT, again = BUF_INIT;
	unsigned int taken = 0;

	(void)state;
	testrand_seed(4);
	assert_int_equal(fmt_table_encode(&b, &t, FMT_SEG_DATA, 100, 111), 0);
	for (int i = 0; i < 200000; i++) {
		uint8_t *p = malloc(b.len);
		int n = 1 + (int)testrand_below(3), rc;
		size_t len = testrand_below(10) ? b.len : testrand_below(b.len);

		assert_non_null(p);
		memcpy(p, b.data, b.len);
		while (n--)
			p[testrand_below(b.len)] = (uint8_t)testrand_u64();
		rc = fmt_table_decode(&back, p, len, FMT_SEG_DATA, 100, 111, 2, NR(entries), 500,
				      500 + 1024 + RAW1);
		if (!rc) {
			taken++;
			buf_reset(&again);
			assert_int_equal(fmt_table_encode(&again, &back, FMT_SEG_DATA, 100, 111),
					 0);
			assert_int_equal(again.len, len);
			assert_memory_equal(again.data, p, len);
			fmt_table_free(&back);
		} else {
			assert_int_equal(rc, -EBADMSG);
		}
		free(p);
	}
	assert_true(taken > 100);
	buf_free(&again);
	buf_free(&b);
}

static int encode_with(const struct fmt_frame *f, uint32_t nf, const struct fmt_entry *e,
		       uint32_t ne, enum fmt_seg_type type)
{
	struct fmt_table t = { .frames = (void *)(uintptr_t)f,
			       .nr_frames = nf,
			       .entries = (void *)(uintptr_t)e,
			       .nr_entries = ne };
	struct buf b = BUF_INIT;
	int rc = fmt_table_encode(&b, &t, type, 100, 111);

	buf_free(&b);
	return rc;
}

static void table_rules(void **state)
{
	struct fmt_frame f[2];
	struct fmt_entry e[NR(entries)];

	(void)state;
#define RULE(change, want) \
	do { \
		memcpy(f, frames, sizeof(f)); \
		memcpy(e, entries, sizeof(e)); \
		change; \
		assert_int_equal(encode_with(f, 2, e, NR(e), FMT_SEG_DATA), want); \
	} while (0)
	RULE((void)0, 0);
	RULE(f[1].lba = 1001; e[3].lba = 1001, -EINVAL); /* frames overlap */
	RULE(f[1].lba = 1008; e[3].lba = 1008, 0); /* frames touch */
	RULE(f[1].lba = 1001; e[3].lba = 1001; f[1].dev = e[3].dev = 1, 0);
	RULE(f[0].blocks = 0, -EINVAL);
	RULE(f[0].blocks = 33, -EINVAL);
	RULE(f[0].codec = 2, -EINVAL);
	RULE(f[0].stored_len = 1025, -EINVAL);
	RULE(f[0].stored_len = 32, -EINVAL);
	RULE(f[0].stored_len = FMT_FRAME_STORED(8 * 4096) + 16, -EINVAL);
	RULE(f[1].stored_len = 1024, -EINVAL); /* raw has one length */
	RULE(f[0].lba = FMT_MAX_LBA - 7, -EINVAL);
	RULE(e[0].frame = 2, -EINVAL);
	RULE(e[0].lba++, -EINVAL); /* not what the frame says */
	RULE(e[0].dev++, -EINVAL);
	RULE(e[0].blocks = 0, -EINVAL);
	RULE(e[0].blocks = 3, -EINVAL); /* block 2 twice */
	RULE(e[1].blocks = 5, -EINVAL); /* leaves the frame */
	RULE(e[1].block = 8, -EINVAL);
	RULE(e[0].wno = 99, -EINVAL);
	RULE(e[8].wno = 112, -EINVAL);
	RULE(e[2].wno = 103; e[3].wno = 102, -EINVAL); /* order */
	RULE(e[2].blocks = 0, -EINVAL);
	RULE(e[2].lba = FMT_MAX_LBA - 5, -EINVAL);
	RULE(e[5].blocks = 6, -EINVAL); /* void over a record */
	RULE(e[5].blocks = 0, -EINVAL);
	RULE(e[5].blocks = UINT32_MAX, -EINVAL);
	RULE(e[7].birth = 110, -EINVAL);
	RULE(e[7].birth = 0, -EINVAL);
	RULE(e[7].to_block = 30, -EINVAL);
	RULE(e[7].from_off = FMT_SEG_MAX_OBJECT, -EINVAL);
	RULE(e[8].control = 0, -EINVAL);
	RULE(e[8].body_len = FMT_CONTROL_MAX + 1, -EINVAL);
	RULE(e[8].kind = FMT_NR_ENTRY_KINDS, -EINVAL);
#undef RULE
	/* A gc object: data of any birth, in any order, and nothing else. */
	assert_int_equal(encode_with(frames, 2, entries, 2, FMT_SEG_GC), 0);
	e[0] = entries[6];
	e[1] = entries[0];
	assert_int_equal(encode_with(frames, 2, e, 2, FMT_SEG_GC), 0);
	assert_int_equal(encode_with(frames, 2, e, 2, FMT_SEG_DATA), -EINVAL);
	assert_int_equal(encode_with(frames, 2, entries, 3, FMT_SEG_GC), -EINVAL);
}

/* ---- whole objects ----------------------------------------------------------------------- */

static struct fmt_seg header(void)
{
	struct fmt_seg s = { .type = FMT_SEG_DATA,
			     .key_gen = 1,
			     .epoch = 3,
			     .seq = 42,
			     .wno_first = 100,
			     .wno_last = 111,
			     .created_us = 5 };

	memcpy(s.uuid, uuid, sizeof(uuid));
	memset(s.nonce, 0xaa, sizeof(s.nonce));
	memset(s.prev_hash, 0xbb, sizeof(s.prev_hash));
	return s;
}

/* Two small frames of zeros, sealed, and their table, as a whole object in @b. */
static void make_object(struct buf *b, struct fmt_seg *s)
{
	static uint8_t data[4096], sealed[2][FMT_FRAME_STORED(4096)];
	static struct fmt_frame f[2];
	static struct fmt_entry e[2];
	struct fmt_table t = { .frames = f, .nr_frames = 2, .entries = e, .nr_entries = 2 };
	uint8_t footer[FMT_SEG_FOOTER_LEN];
	struct fmt_segkey k;

	for (uint32_t i = 0; i < 2; i++) {
		f[i] = (struct fmt_frame){ .lba = 10 - i, .blocks = 1, .codec = FMT_CODEC_ZSTD };
		e[i] = (struct fmt_entry){ .kind = FMT_E_DATA,
					   .wno = s->wno_first + i,
					   .lba = 10 - i,
					   .blocks = 1,
					   .frame = i };
	}
	fmt_segkey_salt(s->salt);
	fmt_seg_key(&k, s, kdata);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fmt_frame_seal(&k, i, &f[i], data, 40 + i * 10, sealed[i]), 0);
	assert_int_equal(fmt_seg_seal(b, s, &t, &k, hkey), 0);
	for (uint32_t i = 0; i < 2; i++)
		buf_put(b, sealed[i], f[i].stored_len);
	fmt_seg_footer(footer, crc32c(0, b->data, b->len));
	buf_put(b, footer, sizeof(footer));
	assert_int_equal(buf_err(b), 0);
	assert_int_equal(b->len, s->object_len);
}

/* As a reader does: header, table, every frame, footer. */
static int open_object(void *ctx, const void *p, size_t len)
{
	const struct fmt_seg *want = ctx;
	const uint8_t *b = p;
	uint8_t out[4096];
	struct fmt_table t;
	struct fmt_segkey k;
	struct fmt_seg s;
	int rc = fmt_seg_header_open(&s, p, len, uuid, want->type == FMT_SEG_GC, 42, hkey);

	if (rc)
		return rc;
	assert_memory_equal(s.hash, want->hash, sizeof(s.hash));
	if (s.type == FMT_SEG_FENCE)
		return fmt_seg_check(&s, p, len);
	fmt_seg_key(&k, &s, kdata);
	rc = fmt_seg_table_open(&t, &s, &k, b + FMT_SEG_HDR_LEN, len - FMT_SEG_HDR_LEN);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < t.nr_frames && !rc; i++) {
		if (t.frames[i].off + t.frames[i].stored_len > len)
			rc = -EBADMSG;
		else
			rc = fmt_frame_open(&k, &t.frames[i], b + t.frames[i].off,
					    t.frames[i].stored_len, out, sizeof(out), NULL, NULL);
	}
	fmt_table_free(&t);
	return rc ? rc : fmt_seg_check(&s, p, len);
}

static void object(void **state)
{
	struct buf b = BUF_INIT;
	struct fmt_seg s = header(), back;

	(void)state;
	testrand_seed(1);
	make_object(&b, &s);
	hostile_check(b.data, b.len, open_object, &s);
	assert_int_equal(fmt_seg_header_open(&back, b.data, b.len, uuid, 0, 42, hkey), 0);
	assert_int_equal(back.type, s.type);
	assert_true(back.epoch == 3 && back.seq == 42 && back.wno_first == 100 &&
		    back.wno_last == 111 && back.created_us == 5);
	assert_int_equal(back.nr_frames, 2);
	assert_int_equal(back.nr_entries, 2);
	assert_int_equal(back.data_blocks, 2);
	assert_memory_equal(back.nonce, s.nonce, sizeof(s.nonce));
	assert_memory_equal(back.prev_hash, s.prev_hash, sizeof(s.prev_hash));
	buf_free(&b);
}

/* An object is not taken for one of another name, volume, kind or key. */
static void another_place(void **state)
{
	static const uint8_t other_uuid[16] = { 1 }, other_key[FMT_KEY_LEN] = { 3 };
	struct fmt_seg s = header(), back;
	struct fmt_table t;
	struct fmt_segkey k;
	struct buf b = BUF_INIT;

	(void)state;
	testrand_seed(2);
	make_object(&b, &s);
	assert_int_equal(fmt_seg_header_open(&back, b.data, b.len, uuid, 0, 43, hkey), -EBADMSG);
	assert_int_equal(fmt_seg_header_open(&back, b.data, b.len, uuid, 1, 42, hkey), -EBADMSG);
	assert_int_equal(fmt_seg_header_open(&back, b.data, b.len, other_uuid, 0, 42, hkey),
			 -EBADMSG);
	assert_int_equal(fmt_seg_header_open(&back, b.data, b.len, uuid, 0, 42, other_key),
			 -EBADMSG);
	assert_int_equal(fmt_seg_header_open(&back, b.data, b.len, uuid, 0, 42, hkey), 0);
	fmt_seg_key(&k, &back, other_key);
	assert_int_equal(fmt_seg_table_open(&t, &back, &k, b.data + FMT_SEG_HDR_LEN,
					    b.len - FMT_SEG_HDR_LEN),
			 -EBADMSG);
	buf_free(&b);
}

/* Two objects of one writer under one seq (a rebuilt segment): no part of one fits the other. */
static void splice(void **state)
{
	struct fmt_seg s = header(), r = header();
	struct buf a = BUF_INIT, b = BUF_INIT;

	(void)state;
	testrand_seed(3);
	make_object(&a, &s);
	make_object(&b, &r);
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(s.salt, r.salt, sizeof(s.salt));
	for (size_t cut = FMT_SEG_HDR_LEN; cut < a.len - FMT_SEG_FOOTER_LEN; cut++) {
		uint8_t *p = malloc(a.len);
		uint8_t footer[FMT_SEG_FOOTER_LEN];
		size_t body = a.len - sizeof(footer);

		assert_non_null(p);
		memcpy(p, a.data, cut);
		memcpy(p + cut, b.data + cut, a.len - cut);
		/* The checksum is no secret. */
		fmt_seg_footer(footer, crc32c(0, p, body));
		memcpy(p + body, footer, sizeof(footer));
		/* Bytes both have in common (a frame's padding) make no difference. */
		if (memcmp(p, a.data, body))
			assert_int_equal(open_object(&s, p, a.len), -EBADMSG);
		free(p);
	}
	buf_free(&a);
	buf_free(&b);
}

static void fence(void **state)
{
	struct fmt_seg s = header();
	struct buf b = BUF_INIT;
	uint8_t footer[FMT_SEG_FOOTER_LEN];

	(void)state;
	s.type = FMT_SEG_FENCE;
	s.key_gen = 0;
	s.wno_first = 0;
	s.resume_at = 42 + 16;
	s.resume_wno = 111 + (1ull << 32);
	memset(s.journal, 7, sizeof(s.journal));
	assert_int_equal(fmt_seg_seal(&b, &s, NULL, NULL, hkey), 0);
	fmt_seg_footer(footer, crc32c(0, b.data, b.len));
	buf_put(&b, footer, sizeof(footer));
	assert_int_equal(b.len, FMT_FENCE_LEN);
	hostile_check(b.data, b.len, open_object, &s);
	buf_reset(&b);
	s.resume_at = 42;
	assert_int_equal(fmt_seg_seal(&b, &s, NULL, NULL, hkey), -EINVAL);
	s.resume_at = 43;
	s.resume_wno = 111;
	assert_int_equal(fmt_seg_seal(&b, &s, NULL, NULL, hkey), -EINVAL);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void gc_object(void **state)
{
	struct fmt_seg s = header();
	struct buf b = BUF_INIT;

	(void)state;
	testrand_seed(5);
	s.type = FMT_SEG_GC;
	memset(s.prev_hash, 0, sizeof(s.prev_hash));
	make_object(&b, &s);
	hostile_check(b.data, b.len, open_object, &s);
	buf_free(&b);
}

static void seal_refuses(void **state)
{
	struct fmt_seg s = header();
	struct fmt_table t = {
		.frames = frames, .nr_frames = 2, .entries = entries, .nr_entries = NR(entries)
	};
	struct buf b = BUF_INIT;
	struct fmt_segkey k;

	(void)state;
	fmt_segkey_salt(s.salt);
	fmt_seg_key(&k, &s, kdata);
	assert_int_equal(fmt_seg_seal(&b, &s, NULL, NULL, hkey), -EINVAL);
	assert_int_equal(fmt_seg_seal(&b, &s, &t, NULL, hkey), -EINVAL);
#define REFUSED(change) \
	do { \
		s = header(); \
		change; \
		assert_int_equal(fmt_seg_seal(&b, &s, &t, &k, hkey), -EINVAL); \
		assert_int_equal(b.len, 0); \
	} while (0)
	REFUSED(s.seq++); /* not the key's */
	REFUSED(s.epoch++);
	REFUSED(s.type = FMT_SEG_GC);
	REFUSED(s.uuid[0]++);
	REFUSED(s.key_gen = 0);
	REFUSED(s.wno_first = 0);
	REFUSED(s.wno_first = 112);
	REFUSED(s.wno_last = 110);
	REFUSED(s.resume_at = 99);
	REFUSED(s.journal[3] = 1);
#undef REFUSED
	s = header();
	assert_int_equal(fmt_seg_seal(&b, &s, &t, &k, hkey), 0);
	fmt_seg_frame_offsets(&s, &t);
	assert_int_equal(frames[0].off, FMT_SEG_HDR_LEN + s.table_len);
	assert_int_equal(frames[1].off, FMT_SEG_HDR_LEN + s.table_len + 1024);
	assert_int_equal(s.object_len, frames[1].off + RAW1 + FMT_SEG_FOOTER_LEN);
	buf_free(&b);
}

/* Another version, and a feature that we do not know: said, not misread. */
static void later_version(void **state)
{
	struct fmt_prefix p;

	(void)state;
	fmt_prefix_init(&p, FMT_KIND_HEAD, uuid);
	assert_int_equal(fmt_prefix_check(&p, FMT_KIND_HEAD, uuid), 0);
	assert_int_equal(fmt_prefix_check(&p, FMT_KIND_RUN, uuid), -EBADMSG);
	p.version = le_16(2);
	assert_int_equal(fmt_prefix_check(&p, FMT_KIND_HEAD, uuid), -EPROTONOSUPPORT);
	p.version = le_16(1);
	p.incompat = le_32(1);
	assert_int_equal(fmt_prefix_check(&p, FMT_KIND_HEAD, uuid), -EPROTONOSUPPORT);
	p.incompat = le_32(0);
	p.compat = le_32(0x80000001);
	assert_int_equal(fmt_prefix_check(&p, FMT_KIND_HEAD, uuid), 0);
	p.magic[0] ^= 1;
	assert_int_equal(fmt_prefix_check(&p, FMT_KIND_HEAD, uuid), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_round_trip),
		cmocka_unit_test(table_garbage),
		cmocka_unit_test(table_rules),
		cmocka_unit_test(object),
		cmocka_unit_test(another_place),
		cmocka_unit_test(splice),
		cmocka_unit_test(fence),
		cmocka_unit_test(gc_object),
		cmocka_unit_test(seal_refuses),
		cmocka_unit_test(later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
