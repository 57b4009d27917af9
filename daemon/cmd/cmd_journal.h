/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a journal, for the commands that do. Each prints one line and returns an exit status. */
#ifndef CMD_CMD_JOURNAL_H
#define CMD_CMD_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "format/fmt.h"

/* What a journal of a volume is made or read with. */
struct cmd_journal_owner {
	uint8_t uuid[FMT_UUID_LEN];
	uint8_t key[FMT_KEY_LEN];
	char name[FMT_NAME_LEN];
};

/*
 * Fills a new file of @bytes, or a block device (0: all of it), with zeros; it is not a journal
 * yet.
 * @force: a block device may hold a clean one.
 */
int cmd_journal_fill(const char *path, uint64_t bytes, bool force);

/* Makes what was filled the journal of @o, and says so; removes the file if that fails. */
int cmd_journal_begin(const char *path, uint64_t bytes, const struct cmd_journal_owner *o);

/* Removes a file that was filled and is of no use now. */
void cmd_journal_unmake(const char *path);

/* The size a journal is to have; 0 if there is none and @path is a block device. */
int cmd_journal_size(const char *cmd, const char *size, const char *path, uint64_t *ret);

#endif
