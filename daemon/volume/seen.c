// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/seen.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/disk.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define SEEN_FILE "state"

int seen_load(struct volume *v)
{
	struct fmt_state *ret = &v->seen;
	uint8_t rec[FMT_STATE_LEN];
	ssize_t n = v->env.disk->ops->read(v->env.disk, SEEN_FILE, rec, sizeof(rec));
	int err;

	memset(ret, 0, sizeof(*ret));
	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return (int)n;
	err = n == FMT_STATE_LEN ? fmt_state_decode(ret, rec, n, v->uuid) : -EBADMSG;
	if (err) {
		memset(ret, 0, sizeof(*ret));
		notice_say(&v->env, NOTICE_ERR,
			   "state folder: file %s is damaged or another volume's", SEEN_FILE);
	}
	return err;
}

int seen_save(struct volume *v)
{
	uint8_t rec[FMT_STATE_LEN];
	struct fmt_state *s = &v->seen;

	s->head_version = v->head.version;
	s->keys_version = keys_version(v->kr);
	s->saved_us = clock_real_us(v->env.clock);
	/* during recovery the commit point is not known yet: what was seen earlier stays */
	if (v->commit_seq >= s->commit_seq) {
		s->commit_seq = v->commit_seq;
		s->commit_wno = v->committed_wno;
		memcpy(s->commit_hash, v->commit_chain, sizeof(s->commit_hash));
	}
	fmt_state_encode(rec, s, v->uuid);
	return v->env.disk->ops->replace(v->env.disk, SEEN_FILE, rec, sizeof(rec));
}
