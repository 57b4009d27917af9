/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of a subcommand: a table says what there is, and makes both the parser and --help. */
#ifndef CMD_CMD_OPT_H
#define CMD_CMD_OPT_H

#include <stdbool.h>

struct cmd;

/**
 * struct cmd_opt - one option; the table ends with a name of NULL
 * @name:	without the dashes
 * @arg:	what its value is called in --help, or NULL for a switch
 * @help:	one line
 * @value:	where the value goes (stays as it is when the option is not given); with @arg
 * @flag:	set to true when given; without @arg
 */
struct cmd_opt {
	const char *name;
	const char *arg;
	const char *help;
	const char **value;
	bool *flag;
};

/* cmd_opt_parse(): nothing more to do, exit with status 0 (--help was given). */
#define CMD_OPT_HELP	(-1)

/*
 * Takes the options out of @argv (argv[0] is the subcommand) wherever they stand, up to "--", and
 * leaves the other words in argv[1 .. *argc - 1]. Between @min and @max of those must remain.
 * Returns 0, CMD_OPT_HELP, or CMD_USAGE after one line on stderr that names the nearest option
 * there is. Main thread.
 */
int cmd_opt_parse(const struct cmd *cmd, const struct cmd_opt *opts, int *argc, char **argv,
		  int min, int max);

/* A whole number within [min, max], or CMD_USAGE after one line on stderr that names --@opt. */
int cmd_opt_number(const char *opt, const char *text, unsigned long min, unsigned long max,
		   unsigned long *ret);

/* Which of the @n @words @word is, or -1 after one line on stderr that names the nearest. */
int cmd_opt_word(const struct cmd *cmd, const char *word, const char *const *words, int n);

#endif
