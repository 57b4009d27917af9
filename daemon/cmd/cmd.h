/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A subcommand: a row in main.c's table and a file cmd_NAME.c. What a subcommand prints for people
 * and scripts goes to stdout; what went wrong goes to stderr as one line that starts with "zerofs:
 * ".
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

/* Exit statuses. */
#define CMD_OK		0
#define CMD_FAILED	1
#define CMD_USAGE	2
#define CMD_SUPERSEDED	3	/* serve: another host owns the volume */

/**
 * struct cmd - a subcommand
 * @name:	the word
 * @args:	what follows the options, as a synopsis
 * @summary:	one line for `zerofs help`
 * @text:	more for `zerofs NAME --help`, or NULL
 * @run:	argv[0] is the word itself; returns the exit status
 */
struct cmd {
	const char *name;
	const char *args;
	const char *summary;
	const char *text;
	int (*run)(const struct cmd *cmd, int argc, char **argv);
};

int cmd_format(const struct cmd *cmd, int argc, char **argv);
int cmd_serve(const struct cmd *cmd, int argc, char **argv);
int cmd_status(const struct cmd *cmd, int argc, char **argv);
int cmd_list(const struct cmd *cmd, int argc, char **argv);
int cmd_stats(const struct cmd *cmd, int argc, char **argv);
int cmd_detach(const struct cmd *cmd, int argc, char **argv);
int cmd_fail(const struct cmd *cmd, int argc, char **argv);
int cmd_clear(const struct cmd *cmd, int argc, char **argv);
int cmd_device(const struct cmd *cmd, int argc, char **argv);
int cmd_key(const struct cmd *cmd, int argc, char **argv);
int cmd_probe(const struct cmd *cmd, int argc, char **argv);
int cmd_journal(const struct cmd *cmd, int argc, char **argv);

/* "zerofs: ..." and a newline on stderr, always one line; returns CMD_FAILED. */
int cmd_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, returns CMD_USAGE. */
int cmd_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* 0, or CMD_USAGE after one line: @url is no store's URL. Asks no store. */
int cmd_check_url(const char *url);

#endif
