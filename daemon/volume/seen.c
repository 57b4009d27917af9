// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/seen.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/disk.h"
#include "volume/journal.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define SEEN_FILE   "state"
#define SEEN_PERIOD 60000000ull /* while the journal is written */

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

static void note_journal(struct fmt_state *s, const struct journal *j)
{
	s->journal_epoch = journal_epoch(j);
	s->journal_pos = j->head;
	memcpy(s->journal_tag, j->sb.journal, sizeof(s->journal_tag));
}

int seen_save(struct volume *v)
{
	uint8_t rec[FMT_STATE_LEN];
	struct fmt_state *s = &v->seen;

	v->seen_us = clock_mono_us(v->env.clock) + SEEN_PERIOD;
	if (v->journal && v->journal->state != JOURNAL_CLOSED)
		note_journal(s, v->journal);
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

void seen_complain(const struct volume *v, int level, int err)
{
	const char *where = v->env.disk->where;

	notice_say(&v->env, level, "state folder%s%s: %s", where ? " " : "", where ? where : "",
		   notice_errno(err));
}

bool seen_older(const struct volume *v)
{
	const struct fmt_state *s = &v->seen;
	const struct journal *j = v->journal;

	return !memcmp(s->journal_tag, j->sb.journal, sizeof(s->journal_tag)) &&
	       (journal_epoch(j) < s->journal_epoch || j->head < s->journal_pos);
}

/* ---- now and then ------------------------------------------------------------------------- */

/* What is remembered of the journal is not what it has got to. */
static bool is_behind(const struct volume *v)
{
	const struct journal *j = v->journal;

	return j && j->state == JOURNAL_ACTIVE &&
	       (j->head != v->seen.journal_pos || journal_epoch(j) != v->seen.journal_epoch);
}

void seen_tick(struct volume *v)
{
	int err;

	if (clock_mono_us(v->env.clock) < v->seen_us || !is_behind(v))
		return;
	err = seen_save(v);
	if (err && err != v->seen_err)
		seen_complain(v, NOTICE_WARN, err);
	v->seen_err = err;
}

uint64_t seen_deadline(const struct volume *v)
{
	return is_behind(v) ? v->seen_us : ~0ull;
}
