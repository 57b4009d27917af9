// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/cmd_secret.h"
#include "server/control.h"
#include "server/host.h"
#include "volume/keys.h"

#define TELL_PAUSE_MS 100
#define TELL_TRIES    100 /* then the store is slow, and the daemon goes on without us */

enum key_what {
	KEY_LIST,
	KEY_ADD,
	KEY_REMOVE,
	KEY_ROTATE,
};

struct key_args {
	const char *pass, *key, *new_pass, *new_key, *label, *kdf;
	bool json;
	enum key_what what;
	uint32_t slot; /* remove */
	const struct keys_secret *fresh; /* add */
	enum keys_cost cost;
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

/* ---- the daemon ----------------------------------------------------------------------------- */

static void tell_nobody(const char *name, bool rotated)
{
	if (rotated)
		printf("no daemon on this host serves '%s': the new key is used from the next "
		       "'zerofs serve' on\n",
		       name);
	else
		printf("no daemon on this host serves '%s': the next 'zerofs serve' writes a head "
		       "that refuses older keys objects, should one be put back\n",
		       name);
}

/*
 * Has the daemon that serves the volume here, if there is one, read the new keys, and waits until
 * its head names them. No head is written from here: its owner, who may be on another host, would
 * take that for a takeover.
 */
static int tell(const char *name, const char *uuid, uint64_t version, bool rotated)
{
	const char *why = "it has not finished yet; it goes on by itself";
	json_t *answer = NULL;

	for (int i = 0; i < TELL_TRIES; i++) {
		int rc = control_ask(CONTROL_DIR, name,
				     json_pack("{s:s, s:s, s:I}", "op", "keys", "uuid", uuid,
					       "version", (json_int_t)version),
				     CONTROL_PATIENCE_MS, NULL, NULL, &answer);
		bool ok = !rc && json_is_true(json_object_get(answer, "ok"));

		if (rc == -ENOENT || (ok && json_is_true(json_object_get(answer, "other")))) {
			json_decref(answer);
			tell_nobody(name, rotated);
			return CMD_OK;
		}
		if (rc) {
			why = strerror(-rc);
			break;
		}
		if (!ok) {
			why = json_string_value(json_object_get(answer, "error"));
			break;
		}
		if (json_integer_value(json_object_get(answer, "in_head")) >= (json_int_t)version) {
			printf("the daemon of '%s' has taken that over%s\n", name,
			       rotated ? " and uses the new key" : "");
			json_decref(answer);
			return CMD_OK;
		}
		json_decref(answer);
		answer = NULL;
		usleep(TELL_PAUSE_MS * 1000);
	}
	cmd_err("the keys are changed, but the daemon that serves '%s' has not taken that over: "
		"%s",
		name, why ? why : "it does not say why");
	json_decref(answer);
	return CMD_FAILED;
}

/* ---- the store ------------------------------------------------------------------------------ */

static int explain_change(struct host *h, int rc, const struct key_args *a)
{
	char err[HOST_ERR_LEN];

	switch (rc) {
	case -EEXIST:
		return cmd_err("somebody else changed the keys at the same time; nothing was done, "
			       "try again");
	case -EOVERFLOW:
		return a->what == KEY_ADD ?
			       cmd_err("all key slots of the volume are taken") :
			       cmd_err("the volume has as many data keys as there can be");
	case -ENXIO:
		return cmd_err("there is no key %u; see: zerofs key list %s", a->slot, h->url);
	case -EALREADY:
		return cmd_err("key %u has been removed already", a->slot);
	case -EBUSY:
		return cmd_err("key %u is the one that unlocked the volume just now; to remove it, "
			       "unlock with one that stays ('zerofs key add' makes one)",
			       a->slot);
	case -ESTALE:
		return cmd_err("the keys object at %s is older than the volume accepts: a newer "
			       "one was taken away; nothing was done",
			       h->url);
	}
	host_explain(h, rc, err);
	return cmd_err("%s", err);
}

/* What the command asks for. As the functions of the keyring. [waits] */
static int change(struct keyring *kr, struct host *h, const struct key_args *a, uint32_t *ret_id)
{
	int rc = keys_allowed(kr, &h->env);

	if (rc)
		return rc;
	*ret_id = a->slot;
	if (a->what == KEY_ADD)
		rc = keys_add(kr, &h->env, a->fresh, a->cost, a->label, ret_id);
	else if (a->what == KEY_REMOVE)
		rc = keys_remove(kr, &h->env, a->slot);
	else if (a->what == KEY_ROTATE)
		rc = keys_rotate(kr, &h->env, ret_id);
	return rc;
}

static void say_done(const struct key_args *a, uint32_t id, bool again)
{
	if (a->what == KEY_ADD)
		printf("added key %u (%s)\n", id, kind_name(a->fresh->kind));
	else if (a->what == KEY_REMOVE)
		printf("%s key %u; a versioned bucket or a backup of the store still has keys "
		       "objects that it opens: delete those too\n",
		       again ? "finished removing" : "removed", id);
	else
		printf("made data key %u; what is written from now on uses it, what is in the "
		       "store is not encrypted again, and the master key stays\n",
		       id);
}

/* Opens the keys at the host's URL and does what is asked. [waits] */
static int work(struct host *h, const struct keys_secret *have, const struct key_args *a)
{
	struct keyring *kr = NULL;
	char uuid[UUID_STR_LEN];
	uint32_t id = 0, old = 0;
	int rc, swept;
	bool again;

	core_lock(&h->core);
	rc = keys_open(&kr, &h->env, have);
	if (!rc)
		rc = change(kr, h, a, &id);
	/* A removal that was cut short is finished by the same command, and by any other change. */
	again = rc == -EALREADY;
	swept = !rc || again ? a->what == KEY_LIST ? keys_older(kr, &h->env, &old) :
						     keys_sweep(kr, &h->env, &old) :
			       0;
	if (again && old && !swept)
		rc = 0;
	host_settle(h);
	core_unlock(&h->core);
	if (rc) {
		rc = explain_change(h, rc, a);
	} else if (a->what == KEY_LIST) {
		print_slots(kr, a->json);
		if (old)
			fprintf(stderr,
				"zerofs: %u older keys object%s in the store; removed keys may "
				"still open them until the next change of the keys\n",
				old, old == 1 ? " is" : "s are");
	} else {
		say_done(a, id, again);
		if (swept)
			rc = cmd_err("older keys objects could not be deleted: %s; run this again",
				     strerror(-swept));
		if (a->what != KEY_ADD && tell(keys_name(kr), uuid_str(uuid, keys_uuid(kr)),
					       keys_version(kr), a->what == KEY_ROTATE))
			rc = CMD_FAILED;
	}
	keys_free(kr);
	return rc ? CMD_FAILED : CMD_OK;
}

static int run(const char *url, const struct keys_secret *have, const struct key_args *a)
{
	char err[HOST_ERR_LEN];
	struct host *h;
	int rc = host_new(&h, url, 0, 0, err);

	if (rc)
		return cmd_err("%s", err);
	rc = work(h, have, a);
	host_stop_threads(h);
	host_free(h);
	return rc;
}

static int add(const char *url, const struct keys_secret *have, struct key_args *a)
{
	const struct cmd_secret_source from = {
		.passphrase_file = a->new_pass,
		.key_file = a->new_key,
		.prompt = "new passphrase",
		.twice = 1,
		.hint = "--new-passphrase-file or --new-key-file",
	};
	struct cmd_secret fresh = { 0 };
	int rc;

	if (keys_cost_parse(a->kdf, &a->cost))
		return cmd_usage("key: --kdf: '%s' is not min, interactive, moderate or sensitive",
				 a->kdf);
	if (strlen(a->label) >= KEYS_LABEL_LEN)
		return cmd_usage("key: --label: at most %u bytes", KEYS_LABEL_LEN - 1);
	rc = cmd_secret_read(&fresh, &from);
	if (rc)
		return rc;
	a->fresh = &fresh.secret;
	rc = run(url, have, a);
	cmd_secret_wipe(&fresh);
	return rc;
}

static int check_args(struct key_args *a, int argc, char **argv)
{
	const char *word = argv[1];
	bool removes = a->what == KEY_REMOVE;
	uint64_t slot;

	if (argc < 3)
		return cmd_usage("key %s: of which volume? usage: zerofs key %s URL%s", word, word,
				 removes ? " ID" : "");
	if (removes && argc < 4)
		return cmd_usage("key remove: which one? usage: zerofs key remove URL ID, with an "
				 "ID of 'zerofs key list'");
	if (removes && parse_u64(argv[3], 0, UINT32_MAX, &slot))
		return cmd_usage("key remove: '%s' is not the ID of a key", argv[3]);
	if (!removes && argc > 3)
		return cmd_usage("key %s: too many arguments: %s", word, argv[3]);
	a->slot = removes ? (uint32_t)slot : 0;
	if (a->what != KEY_ADD && (a->new_pass || a->new_key || *a->label))
		return cmd_usage(
			"key %s: --new-passphrase-file, --new-key-file and --label go with 'key "
			"add'",
			word);
	return cmd_check_url(argv[2]);
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
	static const char *const words[] = { "list", "add", "remove", "rotate" };
	struct cmd_secret_source from = {
		.use_env = 1,
		.prompt = "passphrase",
		.hint = "--passphrase-file or --key-file",
	};
	struct cmd_secret have = { 0 };
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 3), which;

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	which = cmd_opt_word(cmd, argv[1], words, 4);
	if (which < 0)
		return CMD_USAGE;
	a.what = (enum key_what)which;
	rc = check_args(&a, argc, argv);
	if (rc)
		return rc;
	from.passphrase_file = a.pass;
	from.key_file = a.key;
	rc = cmd_secret_read(&have, &from);
	if (rc)
		return rc;
	rc = a.what == KEY_ADD ? add(argv[2], &have.secret, &a) : run(argv[2], &have.secret, &a);
	cmd_secret_wipe(&have);
	return rc;
}
