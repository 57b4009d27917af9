// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_state.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"

struct state_disk {
	struct fmt_prefix prefix;
	le64 head_version;
	le64 epoch;
	le64 keys_version;
	le64 commit_seq;
	uint8_t commit_hash[FMT_HASH_LEN];
	le64 commit_wno;
	le64 saved_us;
	le64 journal_epoch;
	le64 journal_pos;
	uint8_t journal_tag[FMT_STATE_TAG_LEN];
	le32 crc; /* CRC32C of all before it */
};
static_assert(sizeof(struct state_disk) == FMT_STATE_LEN, "state");

void fmt_state_encode(uint8_t out[FMT_STATE_LEN], const struct fmt_state *s, const uint8_t uuid[16])
{
	struct state_disk d = {
		.head_version = le_64(s->head_version),
		.epoch = le_64(s->epoch),
		.keys_version = le_64(s->keys_version),
		.commit_seq = le_64(s->commit_seq),
		.commit_wno = le_64(s->commit_wno),
		.saved_us = le_64(s->saved_us),
		.journal_epoch = le_64(s->journal_epoch),
		.journal_pos = le_64(s->journal_pos),
	};

	fmt_prefix_init(&d.prefix, FMT_KIND_STATE, uuid);
	memcpy(d.commit_hash, s->commit_hash, sizeof(d.commit_hash));
	memcpy(d.journal_tag, s->journal_tag, sizeof(d.journal_tag));
	d.crc = le_32(crc32c(0, &d, offsetof(struct state_disk, crc)));
	memcpy(out, &d, sizeof(d));
}

int fmt_state_decode(struct fmt_state *ret, const void *p, size_t len, const uint8_t uuid[16])
{
	struct state_disk d;
	int rc;

	if (len != sizeof(d))
		return -EBADMSG;
	memcpy(&d, p, sizeof(d));
	rc = fmt_prefix_check(&d.prefix, FMT_KIND_STATE, uuid);
	if (rc)
		return rc;
	if (le_cpu32(d.crc) != crc32c(0, &d, offsetof(struct state_disk, crc)))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->head_version = le_cpu64(d.head_version);
	ret->epoch = le_cpu64(d.epoch);
	ret->keys_version = le_cpu64(d.keys_version);
	ret->commit_seq = le_cpu64(d.commit_seq);
	memcpy(ret->commit_hash, d.commit_hash, sizeof(ret->commit_hash));
	ret->commit_wno = le_cpu64(d.commit_wno);
	ret->saved_us = le_cpu64(d.saved_us);
	ret->journal_epoch = le_cpu64(d.journal_epoch);
	ret->journal_pos = le_cpu64(d.journal_pos);
	memcpy(ret->journal_tag, d.journal_tag, sizeof(ret->journal_tag));
	return 0;
}
