// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_journal.h"
#include "cmd/cmd_opt.h"
#include "cmd/cmd_secret.h"
#include "server/host.h"
#include "server/report.h"
#include "volume/keys.h"
#include "volume/volume.h"

#define FORMAT_LABEL "format" /* of the first key slot */

struct format {
	struct volume_format f;
	enum keys_cost cost;
	const char *url;
	const char *journal; /* NULL: none */
	uint64_t journal_bytes; /* 0: all of a block device */
};

static int bad_name(const char *name)
{
	size_t len = strlen(name);

	return !len || len >= VOLUME_NAME_LEN || name[0] == '.' || name[0] == '-' ||
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
		       len;
}

static int take_name(struct format *fm, const char *name)
{
	char last[VOLUME_NAME_LEN] = "";

	if (!name) {
		/* As the folder or prefix is called, if that can be a name. */
		size_t end, begin;

		end = strncmp(fm->url, "s3:", 3) ? strlen(fm->url) : strcspn(fm->url, "?");
		while (end && fm->url[end - 1] == '/')
			end--;
		begin = end;
		while (begin && fm->url[begin - 1] != '/')
			begin--;
		if (end - begin < sizeof(last))
			memcpy(last, fm->url + begin, end - begin);
		if (bad_name(last))
			return cmd_usage(
				"format: the last part of %s cannot be a volume's name; give one: "
				"--name NAME",
				fm->url);
		name = last;
	}
	if (bad_name(name))
		return cmd_usage(
			"format: '%s' cannot be a volume's name: letters, digits, '.', '_' and "
			"'-', at most %d, not beginning with '.' or '-'",
			name, VOLUME_NAME_LEN - 1);
	snprintf(fm->f.name, sizeof(fm->f.name), "%s", name);
	return 0;
}

static int take_size(struct format *fm, const char *size)
{
	if (!size)
		return cmd_usage("format: how large? give --size, as in --size 100G");
	if (parse_size(size, &fm->f.dev_size) || !fm->f.dev_size)
		return cmd_usage("format: --size: '%s' is not a size; as in 4096, 512M, 4G, 1T",
				 size);
	if (fm->f.dev_size % IO_BLOCK_SIZE)
		return cmd_usage("format: --size %s is not a multiple of the block size, %u bytes",
				 size, IO_BLOCK_SIZE);
	return 0;
}

/* What a FLUSH will promise, and the journal that goes with it. */
static int take_flush(struct format *fm, const char *flush, const char *size)
{
	if (!strcmp(flush, "store")) {
		if (fm->journal || size)
			return cmd_usage("format: a journal goes with --flush local");
		return 0;
	}
	if (strcmp(flush, "local") != 0)
		return cmd_usage("format: --flush: '%s' is neither 'store' nor 'local'", flush);
	if (!fm->journal)
		return cmd_usage("format: --flush local needs a journal on a local disk: "
				 "--journal PATH --journal-size SIZE");
	return cmd_journal_size("format: --journal-size", size, fm->journal, &fm->journal_bytes);
}

static int make_journal(const struct format *fm, struct keyring *kr)
{
	struct cmd_journal_owner o;
	int rc;

	memcpy(o.uuid, keys_uuid(kr), sizeof(o.uuid));
	memcpy(o.key, keys_get(kr, KEYS_JOURNAL), sizeof(o.key));
	snprintf(o.name, sizeof(o.name), "%s", fm->f.name);
	rc = cmd_journal_begin(fm->journal, fm->journal_bytes, &o);
	sodium_memzero(o.key, sizeof(o.key));
	return rc;
}

/* In words, what a FLUSH will promise. */
static void say_promise(const struct format *fm)
{
	printf("flush = %s: %s\n", fm->journal ? "local" : "store",
	       report_flush(fm->journal != NULL));
	printf("What was written after the last FLUSH may be lost %s, nothing before it.\n",
	       fm->journal ? "in a power cut" : "with this machine");
	if (fm->journal)
		printf("Serve it with: --flush local --journal %s\n", fm->journal);
}

static int make(const struct format *fm, const struct keys_secret *secret)
{
	char err[HOST_ERR_LEN], uuid[UUID_STR_LEN], size[PARSE_SIZE_STR];
	struct keyring *kr = NULL;
	struct host *h;
	int left = 0, rc = host_new(&h, fm->url, HOST_CREATE, 0, err);

	if (rc == -ENOENT)
		return cmd_err("%s; make the folder that is to hold it first", err);
	if (rc)
		return cmd_err("%s", err);
	core_lock(&h->core);
	rc = keys_create(&kr, &h->env, fm->f.uuid, fm->f.name, secret, fm->cost, FORMAT_LABEL);
	if (!rc) {
		rc = volume_format(&h->env, kr, &fm->f);
		/* With a head there, or perhaps there, the keys are all that can open it. */
		if (rc && rc != -EEXIST)
			keys_discard(kr, &h->env);
	}
	host_settle(h);
	core_unlock(&h->core);
	if (rc)
		host_explain(h, rc, err);
	else if (fm->journal && make_journal(fm, kr))
		left = cmd_err("the volume was made, its journal was not; 'zerofs journal create' "
			       "makes one");
	keys_free(kr);
	host_stop_threads(h);
	host_free(h);
	if (rc == -EINVAL)
		return cmd_err("a volume of %u devices of %s cannot be made: too large or too many",
			       fm->f.nr_devs, parse_size_str(size, fm->f.dev_size));
	if (rc)
		return cmd_err("%s", err);
	if (left)
		return left;
	printf("formatted '%s' (%s): %u device%s of %s at %s\n", fm->f.name,
	       uuid_str(uuid, fm->f.uuid), fm->f.nr_devs, fm->f.nr_devs == 1 ? "" : "s",
	       parse_size_str(size, fm->f.dev_size), fm->url);
	say_promise(fm);
	return CMD_OK;
}

int cmd_format(const struct cmd *cmd, int argc, char **argv)
{
	struct format fm = { 0 };
	const char *size = NULL, *devices = "1", *name = NULL, *pass = NULL, *key = NULL,
		   *kdf = "moderate", *flush = "store", *journal = NULL, *journal_size = NULL;
	const struct cmd_opt opts[] = {
		{ "size", "BYTES", "size of each device, as in 100G; a multiple of 4096", &size,
		  NULL },
		{ "devices", "N", "how many devices the volume holds (1)", &devices, NULL },
		{ "name", "NAME", "what the volume is called (the URL's last part)", &name, NULL },
		{ "passphrase-file", "FILE",
		  "the first line of FILE unlocks the volume; '-' is standard input", &pass, NULL },
		{ "key-file", "FILE", "the bytes of FILE unlock the volume (16 or more, random)",
		  &key, NULL },
		{ "kdf", "COST",
		  "cost of a passphrase: min, interactive, moderate (default) or sensitive", &kdf,
		  NULL },
		{ "flush", "MODE",
		  "what a FLUSH will promise: store (default), or local, with a journal", &flush,
		  NULL },
		{ "journal", "PATH", "make this file, or use this partition, as the journal",
		  &journal, NULL },
		{ "journal-size", "SIZE", "of the journal's file, as in 4G", &journal_size, NULL },
		{ "unsafe-no-fencing", NULL, "in a store that cannot keep two hosts apart, too",
		  NULL, &fm.f.no_fencing },
		{ 0 }
	};
	struct cmd_secret_source from = {
		.use_env = 1,
		.prompt = "passphrase for the new volume",
		.twice = 1,
		.hint = "--passphrase-file or --key-file",
	};
	struct cmd_secret secret = { 0 };
	unsigned long n;
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	fm.url = argv[1];
	rc = cmd_check_url(fm.url);
	if (rc)
		return rc;
	rc = take_size(&fm, size);
	if (!rc)
		rc = take_name(&fm, name);
	if (!rc)
		rc = cmd_opt_number("devices", devices, 1, VOLUME_MAX_DEVS, &n);
	if (!rc && keys_cost_parse(kdf, &fm.cost))
		rc = cmd_usage("format: --kdf: '%s' is not min, interactive, moderate or sensitive",
			       kdf);
	fm.journal = journal;
	if (!rc)
		rc = take_flush(&fm, flush, journal_size);
	if (rc)
		return rc;
	fm.f.nr_devs = (uint32_t)n;
	from.passphrase_file = pass;
	from.key_file = key;
	rc = cmd_secret_read(&secret, &from);
	if (rc)
		return rc;
	uuid_random(fm.f.uuid);
	/* what may take long, and fail for want of room, comes first */
	rc = fm.journal ? cmd_journal_fill(fm.journal, fm.journal_bytes, false) : 0;
	if (!rc) {
		rc = make(&fm, &secret.secret);
		if (rc && fm.journal)
			cmd_journal_unmake(fm.journal);
	}
	cmd_secret_wipe(&secret);
	return rc;
}
