// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_opt.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "base/nearest.h"

static size_t count(const struct cmd_opt *opts)
{
	size_t n = 0;

	while (opts[n].name)
		n++;
	return n;
}

static void print_help(const struct cmd *cmd, const struct cmd_opt *opts)
{
	size_t n = count(opts);

	printf("usage: zerofs %s%s%s%s\n\n%s\n", cmd->name, n ? " [options]" : "",
	       *cmd->args ? " " : "", cmd->args, cmd->summary);
	if (cmd->text)
		printf("\n%s\n", cmd->text);
	printf("\noptions:\n");
	for (size_t i = 0; i < n; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", opts[i].name, opts[i].arg ? " " : "",
			 opts[i].arg ? opts[i].arg : "");
		printf("  %-26s %s\n", left, opts[i].help);
	}
	printf("  %-26s %s\n", "--help", "this text");
}

static int unknown(const struct cmd *cmd, const struct cmd_opt *opts, const char *word)
{
	const char *near = nearest_word(word, &opts[0].name, count(opts), sizeof(opts[0]));

	if (near)
		return cmd_usage("%s: there is no option --%s; did you mean --%s?", cmd->name, word,
				 near);
	return cmd_usage("%s: there is no option --%s; see: zerofs %s --help", cmd->name, word,
			 cmd->name);
}

/* One option at argv[*i]; moves *i past a value that stands in a word of its own. */
static int take(const struct cmd *cmd, const struct cmd_opt *opts, int argc, char **argv, int *i)
{
	const char *text = argv[*i] + 2;
	const char *eq = strchr(text, '=');
	size_t len = eq ? (size_t)(eq - text) : strlen(text);
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)len, text);
	for (const struct cmd_opt *o = opts; o->name; o++) {
		if (strcmp(o->name, word))
			continue;
		if (!o->arg) {
			if (eq)
				return cmd_usage("%s: --%s takes no value", cmd->name, word);
			*o->flag = true;
			return 0;
		}
		if (!eq && *i + 1 >= argc)
			return cmd_usage("%s: --%s needs a value: --%s %s", cmd->name, word, word,
					 o->arg);
		*o->value = eq ? eq + 1 : argv[++*i];
		if (!**o->value)
			return cmd_usage("%s: --%s needs a value: --%s %s", cmd->name, word, word,
					 o->arg);
		return 0;
	}
	return unknown(cmd, opts, word);
}

int cmd_opt_parse(const struct cmd *cmd, const struct cmd_opt *opts, int *argc, char **argv,
		  int min, int max)
{
	bool only_words = false;
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		if (!only_words && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))) {
			print_help(cmd, opts);
			return CMD_OPT_HELP;
		}
		if (!only_words && !strcmp(argv[i], "--")) {
			only_words = true;
		} else if (!only_words && !strncmp(argv[i], "--", 2)) {
			int rc = take(cmd, opts, *argc, argv, &i);

			if (rc)
				return rc;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			return cmd_usage(
				"%s: there is no option %s (options are words: --help lists them)",
				cmd->name, argv[i]);
		} else {
			argv[n++] = argv[i];
		}
	}
	*argc = n;
	if (n - 1 < min)
		return cmd_usage("%s: something is missing; usage: zerofs %s %s", cmd->name,
				 cmd->name, cmd->args);
	if (n - 1 > max)
		return cmd_usage("%s: '%s' is one word too many; usage: zerofs %s %s", cmd->name,
				 argv[max + 1], cmd->name, cmd->args);
	return 0;
}

int cmd_opt_number(const char *opt, const char *text, unsigned long min, unsigned long max,
		   unsigned long *ret)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || text[0] == '+' || v < min || v > max)
		return cmd_usage("--%s: '%s' is not a number from %lu to %lu", opt, text, min, max);
	*ret = v;
	return 0;
}

int cmd_opt_word(const struct cmd *cmd, const char *word, const char *const *words, int n)
{
	const char *near;

	for (int i = 0; i < n; i++) {
		if (!strcmp(words[i], word))
			return i;
	}
	near = nearest_word(word, words, (size_t)n, sizeof(words[0]));
	if (near)
		cmd_usage("%s: there is no '%s %s'; did you mean '%s %s'?", cmd->name, cmd->name,
			  word, cmd->name, near);
	else
		cmd_usage("%s: there is no '%s %s'; usage: zerofs %s %s", cmd->name, cmd->name,
			  word, cmd->name, cmd->args);
	return -1;
}
