// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/cmd_secret.h"
#include "server/host.h"
#include "volume/keys.h"

struct key_args {
	const char *pass, *key, *new_pass, *new_key, *label, *kdf;
	bool json;
};

static const char *kind_name(enum keys_secret_kind k)
{
	return k == KEYS_KEYFILE ? "key-file" : "passphrase";
}

static void print_slots(const struct keyring *kr, bool json)
{
	const struct keys_slot *slots;
	uint32_t n = keys_slots(kr, &slots);
	json_t *list = json_array();

	if (!json)
		printf("%4s  %-10s  %-20s  %-10s  %s\n", "ID", "KIND", "CREATED (UTC)", "KDF",
		       "LABEL");
	for (uint32_t i = 0; i < n; i++) {
		time_t t = (time_t)(slots[i].created_us / 1000000);
		char when[32], mem[PARSE_SIZE_STR];
		struct tm tm;

		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm));
		json_array_append_new(
			list, json_pack("{s:i, s:s, s:s, s:I, s:I, s:I}", "id", (int)slots[i].id,
					"kind", kind_name(slots[i].kind), "label", slots[i].label,
					"created_us", (json_int_t)slots[i].created_us, "argon_ops",
					(json_int_t)slots[i].argon_ops, "argon_mem",
					(json_int_t)slots[i].argon_mem));
		if (!json)
			printf("%4u  %-10s  %-20s  %-10s  %s\n", slots[i].id,
			       kind_name(slots[i].kind), when,
			       slots[i].kind == KEYS_PASSPHRASE ?
				       parse_size_str(mem, slots[i].argon_mem) :
				       "-",
			       slots[i].label);
	}
	if (json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		printf("\n");
	}
	json_decref(list);
}

/* Opens the keys at @url and, with @add, adds it. */
static int work(const char *url, const struct keys_secret *have, const struct keys_secret *add,
		enum keys_cost cost, const struct key_args *a)
{
	char err[HOST_ERR_LEN];
	struct keyring *kr = NULL;
	struct host *h;
	uint32_t id = 0;
	int rc = host_new(&h, url, 0, 0, err);

	if (rc)
		return cmd_err("%s", err);
	core_lock(&h->core);
	rc = keys_open(&kr, &h->env, have);
	if (!rc && add) {
		rc = keys_add(kr, &h->env, add, cost, a->label, &id);
		if (rc == -ENOSPC)
			rc = -EOVERFLOW;
	}
	host_settle(h);
	core_unlock(&h->core);
	if (rc == -EOVERFLOW)
		cmd_err("all key slots of the volume are taken");
	else if (rc == -EEXIST)
		cmd_err("somebody else changed the keys at the same time; nothing was added, try "
			"again");
	else if (rc) {
		host_explain(h, rc, err);
		cmd_err("%s", err);
	} else if (add) {
		printf("added key %u (%s)\n", id, kind_name(add->kind));
	} else {
		print_slots(kr, a->json);
	}
	keys_free(kr);
	host_stop_threads(h);
	host_free(h);
	return rc ? CMD_FAILED : CMD_OK;
}

static int add(const char *url, const struct keys_secret *have, const struct key_args *a)
{
	const struct cmd_secret_source from = {
		.passphrase_file = a->new_pass,
		.key_file = a->new_key,
		.prompt = "new passphrase",
		.twice = 1,
		.hint = "--new-passphrase-file or --new-key-file",
	};
	struct cmd_secret fresh = { 0 };
	enum keys_cost cost;
	int rc;

	if (keys_cost_parse(a->kdf, &cost))
		return cmd_usage("key: --kdf: '%s' is not min, interactive, moderate or sensitive",
				 a->kdf);
	if (strlen(a->label) >= KEYS_LABEL_LEN)
		return cmd_usage("key: --label: at most %u bytes", KEYS_LABEL_LEN - 1);
	rc = cmd_secret_read(&fresh, &from);
	if (rc)
		return rc;
	rc = work(url, have, &fresh.secret, cost, a);
	cmd_secret_wipe(&fresh);
	return rc;
}

int cmd_key(const struct cmd *cmd, int argc, char **argv)
{
	struct key_args a = { .kdf = "moderate", .label = "" };
	const struct cmd_opt opts[] = {
		{ "passphrase-file", "FILE",
		  "unlock with the first line of FILE; '-' is standard input", &a.pass, NULL },
		{ "key-file", "FILE", "unlock with the bytes of FILE", &a.key, NULL },
		{ "new-passphrase-file", "FILE",
		  "add: the new passphrase is the first line of FILE", &a.new_pass, NULL },
		{ "new-key-file", "FILE", "add: the new key is the bytes of FILE", &a.new_key,
		  NULL },
		{ "label", "TEXT", "add: a note to tell the new key by", &a.label, NULL },
		{ "kdf", "COST",
		  "add: cost of a passphrase: min, interactive, moderate (default) or sensitive",
		  &a.kdf, NULL },
		{ "json", NULL, "list: as JSON", NULL, &a.json },
		{ 0 }
	};
	static const char *const words[] = { "list", "add" };
	struct cmd_secret_source from = {
		.use_env = 1,
		.prompt = "passphrase",
		.hint = "--passphrase-file or --key-file",
	};
	struct cmd_secret have = { 0 };
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 2), which;

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	which = cmd_opt_word(cmd, argv[1], words, 2);
	if (which < 0)
		return CMD_USAGE;
	if (argc < 3)
		return cmd_usage("key %s: of which volume? usage: zerofs key %s URL", words[which],
				 words[which]);
	if (which == 0 && (a.new_pass || a.new_key || *a.label))
		return cmd_usage(
			"key list: --new-passphrase-file, --new-key-file and --label go with 'key "
			"add'");
	from.passphrase_file = a.pass;
	from.key_file = a.key;
	rc = cmd_secret_read(&have, &from);
	if (rc)
		return rc;
	if (which == 0)
		rc = work(argv[2], &have.secret, NULL, KEYS_COST_MIN, &a);
	else
		rc = add(argv[2], &have.secret, &a);
	cmd_secret_wipe(&have);
	return rc;
}
