/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The superblock of a journal that no daemon uses, for the commands. */
#ifndef CMD_CMD_JSB_H
#define CMD_CMD_JSB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core.h"
#include "cmd/cmd_journal.h"
#include "format/fmt_journal.h"

/* FMT_JOURNAL_MIN_SIZE, for messages. */
#define CMD_JSB_MIN_SIZE "64M"

struct jdev;

/* Opens @path to read. @alone: unless it is in use. -1 after one line. */
int cmd_jsb_open(const char *path, bool alone);

/*
 * The superblock that counts, and which of the two it is (@ret_copy may be NULL). @o NULL: whatever
 * volume's, the checksum alone is checked. Errors as fmt_journal_sb_open(), and what reading gives.
 */
int cmd_jsb_read(int fd, struct fmt_journal_sb *ret, uint8_t uuid[16],
		 const struct cmd_journal_owner *o, int *ret_copy);

/* One line for an error of cmd_jsb_read(). CMD_FAILED. */
int cmd_jsb_explain(const char *path, int rc);

/* The same for the journal of @o alone. 0, or CMD_FAILED after one line. */
int cmd_jsb_read_of(int fd, const char *path, struct fmt_journal_sb *ret,
		    const struct cmd_journal_owner *o, int *ret_copy);

/* "2026-11-27 20:02:00", UTC. Returns @out. */
#define CMD_JSB_WHEN 32
char *cmd_jsb_when(char out[CMD_JSB_WHEN], uint64_t us);

/* A journal that this process alone has. */
struct cmd_jsb_dev {
	struct core core;
	struct jdev *d;
};

/* -errno as jdev_uring_open(). */
int cmd_jsb_take(struct cmd_jsb_dev *x, const char *path);
void cmd_jsb_release(struct cmd_jsb_dev *x);

/* Writes copy 0 or 1, durable when it returns. -errno. */
int cmd_jsb_write(struct cmd_jsb_dev *x, int copy, const struct fmt_journal_sb *sb,
		  const struct cmd_journal_owner *o);

/* One line for an error of cmd_jsb_take() or jdev_uring_create(). CMD_FAILED. */
int cmd_jsb_explain_dev(const char *path, int rc);

#endif
