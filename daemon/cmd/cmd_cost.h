/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_cost: what a volume costs in a month, by what its daemon has counted and a file of prices. */
#ifndef CMD_CMD_COST_H
#define CMD_CMD_COST_H

#include <jansson.h>

struct price_book;

/* As the user said; NULL: not said. */
struct cmd_cost_opts {
	const char *file, *section;
};

/*
 * Reads the prices that @o names: 0 and *@ret, to be freed with free(), NULL if there are none, and
 * then why in @why (PRICE_ERR_LEN bytes). CMD_FAILED after one line on stderr if the user asked for
 * prices that there are not.
 */
int cmd_cost_load(const struct cmd_cost_opts *o, struct price_book **ret, char *why);

/*
 * Adds "cost" to @stats, the answer of a daemon: an object with the sums in billionths of the
 * currency, or with "none": the reason why there are none, which is @why without @b. 0, or
 * CMD_FAILED as above.
 */
int cmd_cost_add(json_t *stats, const struct cmd_cost_opts *o, const struct price_book *b,
		 const char *why);

/* Prints such an object for people. */
void cmd_cost_print(const json_t *cost);

#endif
