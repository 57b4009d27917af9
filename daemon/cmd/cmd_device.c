// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/control.h"

static int list(struct kdev *kd, const struct zerofs_session_info *si, bool json)
{
	struct zerofs_dev_info *di;
	int n = target_devices(kd, si->session, &di);
	json_t *all;

	if (n < 0)
		return CMD_FAILED;
	all = json_array();
	if (!json)
		printf("%4s  %-14s  %9s  %-9s  %7s  %-12s  %s\n", "ID", "DEVICE", "SIZE", "ACCESS",
		       "OPENERS", "QUEUES W+R", "NAME");
	for (int i = 0; i < n; i++) {
		char size[PARSE_SIZE_STR], node[24], queues[24];
		bool ro = di[i].flags & ZEROFS_DEV_RO;

		snprintf(node, sizeof(node), "/dev/zerofs%u", di[i].index);
		snprintf(queues, sizeof(queues), "%u+%u x %u", di[i].nr_write_queues,
			 di[i].nr_read_queues, di[i].depth);
		if (!json)
			printf("%4u  %-14s  %9s  %-9s  %7u  %-12s  %s\n", di[i].dev_id, node,
			       parse_size_str(size, di[i].size), ro ? "read-only" : "writable",
			       di[i].openers, queues, di[i].name);
		json_array_append_new(
			all, json_pack("{s:i, s:s, s:s, s:I, s:b, s:i, s:i, s:i, s:i}", "id",
				       (int)di[i].dev_id, "name", di[i].name, "node", node, "size",
				       (json_int_t)di[i].size, "read_only", ro, "openers",
				       (int)di[i].openers, "write_queues",
				       (int)di[i].nr_write_queues, "read_queues",
				       (int)di[i].nr_read_queues, "depth", (int)di[i].depth));
	}
	if (json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		printf("\n");
	}
	json_decref(all);
	free(di);
	return CMD_OK;
}

static int read_only(const struct zerofs_session_info *si, const char *device, bool on)
{
	json_t *answer;
	int rc;

	rc = target_ask(si,
			json_pack("{s:s, s:s, s:b}", "op", "read-only", "device", device, "on", on),
			CONTROL_PATIENCE_MS, &answer);
	if (rc)
		return rc;
	json_decref(answer);
	printf("%s of '%s' is %s until it is removed\n", device, si->name,
	       on ? "read-only" : "writable");
	return CMD_OK;
}

int cmd_device(const struct cmd *cmd, int argc, char **argv)
{
	bool json = false;
	const struct cmd_opt opts[] = { { "json", NULL, "list: as JSON", NULL, &json }, { 0 } };
	static const char *const words[] = { "list", "read-only" };
	struct zerofs_session_info si;
	struct kdev kd;
	int which, rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 4);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	which = cmd_opt_word(cmd, argv[1], words, 2);
	if (which < 0)
		return CMD_USAGE;
	if (argc != (which == 0 ? 3 : 5))
		return cmd_usage("device %s: usage: zerofs device %s", words[which],
				 which == 0 ? "list NAME" : "read-only NAME DEVICE on|off");
	if (which == 1 && strcmp(argv[4], "on") != 0 && strcmp(argv[4], "off") != 0)
		return cmd_usage("device read-only: '%s' is neither 'on' nor 'off'", argv[4]);
	rc = target_open(&kd);
	if (rc)
		return rc;
	rc = target_find(&kd, argv[2], &si);
	if (!rc && which == 0)
		rc = list(&kd, &si, json);
	else if (!rc)
		rc = read_only(&si, argv[3], !strcmp(argv[4], "on"));
	kdev_close(&kd);
	return rc;
}
