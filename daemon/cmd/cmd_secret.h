/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A passphrase or key from wherever the user keeps it; never from the command line. */
#ifndef CMD_CMD_SECRET_H
#define CMD_CMD_SECRET_H

#include "volume/keys.h"

#define CMD_SECRET_ENV	"ZEROFS_PASSPHRASE_FILE"

struct cmd_secret {
	struct keys_secret secret;
	void *buf;		/* locked memory, zeroed when freed */
};

/**
 * struct cmd_secret_source - where to look
 * @passphrase_file:	NULL or a file whose first line it is, "-" = standard input
 * @key_file:		NULL or a file that is the key
 * @use_env:		without either: the file that ZEROFS_PASSPHRASE_FILE names
 * @prompt:		without any: ask the terminal with these words
 * @twice:		... twice
 * @hint:		the options to name when there is nothing and nobody to ask
 */
struct cmd_secret_source {
	const char *passphrase_file;
	const char *key_file;
	int use_env;
	const char *prompt;
	int twice;
	const char *hint;
};

/* 0, or an exit status after one line on stderr. Main thread, before any other starts. */
int cmd_secret_read(struct cmd_secret *ret, const struct cmd_secret_source *from);

/* Zeroes and frees; @s may be all zero, or freed already. */
void cmd_secret_wipe(struct cmd_secret *s);

#endif
