// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/control.h"

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
	bool json = false;
	const struct cmd_opt opts[] = { { "json", NULL, "print JSON", NULL, &json }, { 0 } };
	struct zerofs_session_info si;
	struct kdev kd;
	json_t *answer;
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	rc = target_open_find(&kd, argv[1], &si);
	if (rc)
		return rc;
	rc = target_ask(&si, json_pack("{s:s}", "op", "stats"), CONTROL_PATIENCE_MS, &answer);
	kdev_close(&kd);
	if (rc)
		return rc;
	if (json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		json_object_del(answer, "ok");
		print_flat("", answer);
	}
	json_decref(answer);
	return CMD_OK;
}
