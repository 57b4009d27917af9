/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to do with a journal that was set aside: `zerofs journal export` and `discard`. Both print,
 * and return an exit status.
 */
#ifndef CMD_CMD_JSAVE_H
#define CMD_CMD_JSAVE_H

#include <stdbool.h>

#include "cmd/cmd_journal.h"

/* Writes all operations into the new folder @dir. CMD_FAILED also if records are missing. */
int cmd_jsave_export(const char *path, const char *dir, const struct cmd_journal_owner *o);

/* Says what is given up and, with @yes, makes the journal an empty one. */
int cmd_jsave_discard(const char *path, const struct cmd_journal_owner *o, bool yes);

#endif
