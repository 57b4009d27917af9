/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a journal: its superblock, and the records from its start on. Writes nothing. Threads:
 * core lock.
 */
#ifndef VOLUME_JSCAN_H
#define VOLUME_JSCAN_H

#include <stdint.h>

struct fmt_journal_op;
struct fmt_journal_rec;
struct journal;

/*
 * Finds the superblock that counts and indexes all records behind its start: afterwards j->sb,
 * refs, head, prev and written say what there is, and j is SCANNED. *ret_epoch: of the last record,
 * 0 = there is none; *ret_store_to: what the store held when it was made. Errors with a notice:
 * -ENODATA never formatted, -EBADMSG damaged, or another volume's, or shorter than it was,
 * -EPROTONOSUPPORT, -ENOMEM, those of the device. [waits]
 */
int jscan_run(struct journal *j, uint64_t *ret_epoch, uint64_t *ret_store_to);

/*
 * Reads records that the scan has found, in order: a stretch of the ring, and the record that was
 * read last.
 */
struct jscan_reader {
	struct journal *j;
	uint8_t *buf;			/* bytes of the ring from position @pos on */
	uint64_t pos;
	uint32_t len;
	struct fmt_journal_rec *rec;
	struct fmt_journal_op *ops;
	uint8_t *payload;
};

/* -ENOMEM. */
int jscan_open(struct jscan_reader *r, struct journal *j);
void jscan_close(struct jscan_reader *r);

/* Reads and decrypts the record at position @pos. -EBADMSG: it is not what it was. [waits] */
int jscan_read(struct jscan_reader *r, uint64_t pos);

#endif
