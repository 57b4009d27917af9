// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmd/cmd.h"
#include "cmd/cmd_cost.h"
#include "cmd/cmd_opt.h"
#include "cmd/cmd_prom.h"
#include "cmd/target.h"
#include "store/price.h"

/* "store.put.requests 12": one counter a line, easy to grep. */
static void print_flat(const char *prefix, json_t *j)
{
	const char *key;
	json_t *v;

	json_object_foreach(j, key, v) {
		char name[128];

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_is_object(v))
			print_flat(name, v);
		else if (json_is_integer(v))
			printf("%-28s %" JSON_INTEGER_FORMAT "\n", name, json_integer_value(v));
		else if (json_is_string(v))
			printf("%-28s %s\n", name, json_string_value(v));
	}
}

int cmd_stats(const struct cmd *cmd, int argc, char **argv)
{
	struct cmd_cost_opts prices = { 0 };
	bool json = false, prom = false;
	const struct cmd_opt opts[] = {
		{ "json", NULL, "print JSON", NULL, &json },
		{ "prometheus", NULL, "print what Prometheus reads", NULL, &prom },
		{ "prices", "FILE", "the prices to estimate with (/etc/zerofs/prices.conf)",
		  &prices.file, NULL },
		{ "price-section", "NAME", "the section of it (that of the store's endpoint)",
		  &prices.section, NULL },
		{ 0 }
	};
	struct price_book *book = NULL;
	char why[PRICE_ERR_LEN];
	json_t *answer = NULL;
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	if (json && prom)
		return cmd_usage("stats: --json and --prometheus exclude each other");
	rc = cmd_cost_load(&prices, &book, why);
	if (!rc)
		rc = target_ask_word(argv[1], "stats", &answer);
	if (!rc)
		rc = cmd_cost_add(answer, &prices, book, why);
	free(book);
	if (!rc && json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (!rc && prom) {
		cmd_prom_print(answer);
	} else if (!rc) {
		json_t *cost = json_incref(json_object_get(answer, "cost"));

		json_object_del(answer, "ok");
		json_object_del(answer, "cost");
		print_flat("", answer);
		cmd_cost_print(cost);
		json_decref(cost);
	}
	json_decref(answer);
	return rc;
}
