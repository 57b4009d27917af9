// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <linux/fs.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/jdev_uring.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_journal.h"
#include "cmd/cmd_jsave.h"
#include "cmd/cmd_jsb.h"
#include "cmd/cmd_jwalk.h"
#include "cmd/cmd_opt.h"
#include "cmd/cmd_secret.h"
#include "format/fmt_journal.h"
#include "server/host.h"
#include "volume/keys.h"

struct journal_args {
	const char *pass, *key, *size;
	bool force, json, yes;
	uint64_t bytes;
};

/* ---- the volume -------------------------------------------------------------------------- */

/* Asks the store for the volume at @url. 0 or an exit status after one line. */
static int find_owner(struct cmd_journal_owner *ret, const char *url, const struct journal_args *a)
{
	const struct cmd_secret_source from = {
		.passphrase_file = a->pass,
		.key_file = a->key,
		.use_env = 1,
		.prompt = "passphrase",
		.hint = "--passphrase-file or --key-file",
	};
	struct cmd_secret secret = { 0 };
	char err[HOST_ERR_LEN];
	struct keyring *kr = NULL;
	struct host *h;
	int rc = cmd_check_url(url);

	if (!rc)
		rc = cmd_secret_read(&secret, &from);
	if (rc)
		return rc;
	rc = host_new(&h, url, 0, 0, err);
	if (rc) {
		cmd_secret_wipe(&secret);
		return cmd_err("%s", err);
	}
	core_lock(&h->core);
	rc = keys_open(&kr, &h->env, &secret.secret);
	host_settle(h);
	core_unlock(&h->core);
	cmd_secret_wipe(&secret);
	if (rc) {
		host_explain(h, rc, err);
		rc = cmd_err("%s", err);
	} else {
		memcpy(ret->uuid, keys_uuid(kr), sizeof(ret->uuid));
		memcpy(ret->key, keys_get(kr, KEYS_JOURNAL), sizeof(ret->key));
		snprintf(ret->name, sizeof(ret->name), "%s", keys_name(kr));
		keys_free(kr);
	}
	host_stop_threads(h);
	host_free(h);
	return rc;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void print_json(const struct fmt_journal_sb *sb, const uint8_t uuid[16],
		       const struct cmd_jwalk *f)
{
	char v[UUID_STR_LEN], j[UUID_STR_LEN];
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "volume_uuid",
			      uuid_str(v, uuid), "journal_uuid", uuid_str(j, sb->journal), "host",
			      sb->host, "size", (json_int_t)sb->size, "start",
			      (json_int_t)sb->start, "stored_wno", (json_int_t)sb->start_wno,
			      "epoch", (json_int_t)sb->epoch, "clean", sb->clean, "created_us",
			      (json_int_t)sb->created_us, "saved_us", (json_int_t)sb->saved_us);

	if (f) {
		json_object_set_new(o, "records", json_integer((json_int_t)f->records));
		json_object_set_new(o, "operations", json_integer((json_int_t)f->ops));
		json_object_set_new(o, "bytes", json_integer((json_int_t)f->bytes));
		json_object_set_new(o, "first_wno", json_integer((json_int_t)f->first));
		json_object_set_new(o, "last_wno", json_integer((json_int_t)f->last));
	}
	json_dumpf(o, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(o);
}

static void print_text(const struct fmt_journal_sb *sb, const uint8_t uuid[16],
		       const struct cmd_jwalk *f)
{
	char s[UUID_STR_LEN], size[PARSE_SIZE_STR], when[CMD_JSB_WHEN];

	printf("journal     %s\n", uuid_str(s, sb->journal));
	printf("volume      %s\n", uuid_str(s, uuid));
	printf("size        %s\n", parse_size_str(size, sb->size));
	printf("state       %s\n", sb->clean ? "clean: everything in it is in the store" :
					       "open: it may hold writes that the store lacks");
	printf("host        %s\n", sb->host);
	printf("epoch       %llu\n", (unsigned long long)sb->epoch);
	printf("start       %llu, writes up to %llu are in the store\n",
	       (unsigned long long)sb->start, (unsigned long long)sb->start_wno);
	printf("made        %s UTC\n", cmd_jsb_when(when, sb->created_us));
	printf("saved       %s UTC\n", cmd_jsb_when(when, sb->saved_us));
	if (!f)
		return;
	printf("records     %llu, with %llu operations, %s\n", (unsigned long long)f->records,
	       (unsigned long long)f->ops, parse_size_str(size, f->bytes));
	if (f->records)
		printf("writes      %llu to %llu\n", (unsigned long long)f->first,
		       (unsigned long long)f->last);
}

static int show(const char *path, const char *url, const struct journal_args *a)
{
	CLEANUP_CLOSE int fd = cmd_jsb_open(path, false);
	struct cmd_journal_owner o;
	struct fmt_journal_sb sb;
	struct cmd_jwalk f = { .fd = fd, .sb = &sb, .o = &o };
	uint8_t uuid[FMT_UUID_LEN];
	int rc;

	if (fd < 0)
		return CMD_FAILED;
	rc = cmd_jsb_read(fd, &sb, uuid, NULL, NULL);
	if (rc)
		return cmd_jsb_explain(path, rc);
	if (url) {
		rc = find_owner(&o, url, a);
		if (rc)
			return rc;
		rc = cmd_jsb_read_of(fd, path, &sb, &o, NULL);
		if (rc)
			return rc;
		/* Beside a daemon that writes: it finds what was there at some moment. */
		rc = cmd_jwalk_chain(&f);
		sodium_memzero(o.key, sizeof(o.key));
		if (rc)
			return cmd_jsb_explain(path, rc);
	}
	if (a->json)
		print_json(&sb, uuid, url ? &f : NULL);
	else
		print_text(&sb, uuid, url ? &f : NULL);
	return CMD_OK;
}

/* ---- making ------------------------------------------------------------------------------ */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static int progress(void *ctx, uint64_t done, uint64_t size)
{
	unsigned int *shown = ctx, pc = (unsigned int)(done / (size / 100 + 1));

	if (pc != *shown && isatty(STDERR_FILENO))
		fprintf(stderr, "\rwriting zeros: %u %%%s", pc, done == size ? "\r\033[K" : "");
	*shown = pc;
	return interrupted;
}

/*
 * Whether a block device that is not empty may be overwritten: with --force, if all there is on it
 * is a journal that has nothing the store lacks.
 */
static int may_overwrite(const char *path, bool force)
{
	CLEANUP_CLOSE int fd = cmd_jsb_open(path, false);
	uint8_t uuid[FMT_UUID_LEN];
	struct fmt_journal_sb sb;

	if (fd < 0)
		return CMD_FAILED;
	if (cmd_jsb_read(fd, &sb, uuid, NULL, NULL))
		return cmd_err("%s holds something that is not a journal; look with wipefs(8), and "
			       "empty it yourself if it is of no use",
			       path);
	if (!sb.clean)
		return cmd_err("%s holds an open journal: writes in it may not be in the store",
			       path);
	if (!force)
		return cmd_err("%s holds a journal, a clean one; --force makes a new one", path);
	return CMD_OK;
}

int cmd_journal_size(const char *cmd, const char *size, const char *path, uint64_t *ret)
{
	struct stat st;
	bool blk = !stat(path, &st) && S_ISBLK(st.st_mode);

	*ret = 0;
	if (!size)
		return blk ? 0 : cmd_usage("%s: how large is the journal to be? as in 4G", cmd);
	if (parse_size(size, ret))
		return cmd_usage("%s: '%s' is not a size; as in 512M, 4G", cmd, size);
	if (*ret < FMT_JOURNAL_MIN_SIZE || *ret % FMT_JOURNAL_BLOCK)
		return cmd_usage("%s: %s: a journal has " CMD_JSB_MIN_SIZE
				 " at least, in whole blocks of %u bytes",
				 cmd, size, FMT_JOURNAL_BLOCK);
	return 0;
}

/* 0 or an exit status: a block device without --size that is too small. */
static int check_device(const char *path)
{
	CLEANUP_CLOSE int fd = cmd_jsb_open(path, false);
	uint64_t size = 0;

	if (fd < 0)
		return CMD_FAILED;
	if (!ioctl(fd, BLKGETSIZE64, &size) && size < FMT_JOURNAL_MIN_SIZE)
		return cmd_jsb_explain_dev(path, -EINVAL);
	return 0;
}

void cmd_journal_unmake(const char *path)
{
	struct stat st;

	if (!stat(path, &st) && S_ISREG(st.st_mode))
		unlink(path);
}

int cmd_journal_fill(const char *path, uint64_t bytes, bool force)
{
	unsigned int shown = 0;
	struct jdev_uring_new n = {
		.path = path, .size = bytes, .progress = progress, .ctx = &shown
	};
	struct stat st;
	int rc = bytes ? 0 : check_device(path);

	if (rc)
		return rc;
	/* So that nothing half made is left. */
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	rc = jdev_uring_create(&n);
	if (rc == -EEXIST && !stat(path, &st) && S_ISBLK(st.st_mode)) {
		rc = may_overwrite(path, force);
		if (rc)
			return rc;
		n.force = true;
		rc = jdev_uring_create(&n);
	}
	return rc ? cmd_jsb_explain_dev(path, rc) : 0;
}

/* The first superblock; the other copy is zeros. 0 or -errno. */
static int put_sb(const char *path, const struct cmd_journal_owner *o, uint64_t size,
		  struct fmt_journal_sb *sb)
{
	struct cmd_jsb_dev x;
	int rc = cmd_jsb_take(&x, path);

	if (rc)
		return rc;
	*sb = (struct fmt_journal_sb){ .generation = 1, .clean = true };
	sb->created_us = sb->saved_us = clock_real_us(clock_system());
	uuid_random(sb->journal);
	if (gethostname(sb->host, sizeof(sb->host) - 1))
		strcpy(sb->host, "?");
	sb->size = size ? size : x.d->size;
	rc = cmd_jsb_write(&x, 0, sb, o);
	cmd_jsb_release(&x);
	return rc;
}

int cmd_journal_begin(const char *path, uint64_t bytes, const struct cmd_journal_owner *o)
{
	char uuid[UUID_STR_LEN], size[PARSE_SIZE_STR];
	struct fmt_journal_sb sb;
	int rc = put_sb(path, o, bytes, &sb);

	if (rc) {
		cmd_journal_unmake(path);
		return cmd_jsb_explain_dev(path, rc);
	}
	printf("made journal %s of volume %s, %s, in %s\n", uuid_str(uuid, sb.journal), o->name,
	       parse_size_str(size, sb.size), path);
	return CMD_OK;
}

static int create(const char *url, const char *path, struct journal_args *a)
{
	struct cmd_journal_owner o;
	int rc = cmd_journal_size("journal create: --size", a->size, path, &a->bytes);

	if (!rc)
		rc = find_owner(&o, url, a);
	if (rc)
		return rc;
	rc = cmd_journal_fill(path, a->bytes, a->force);
	if (!rc)
		rc = cmd_journal_begin(path, a->bytes, &o);
	sodium_memzero(o.key, sizeof(o.key));
	return rc;
}

static int save(const char *path, const char *url, const char *dir, const struct journal_args *a)
{
	struct cmd_journal_owner o;
	int rc = find_owner(&o, url, a);

	if (rc)
		return rc;
	rc = dir ? cmd_jsave_export(path, dir, &o) : cmd_jsave_discard(path, &o, a->yes);
	sodium_memzero(o.key, sizeof(o.key));
	return rc;
}

static int run_show(int argc, char **argv, const struct journal_args *a)
{
	int rc;

	if (argc < 3)
		return cmd_usage("journal show: which one? usage: zerofs journal show PATH [URL]");
	if (argc > 4)
		return cmd_usage("journal show: usage: zerofs journal show PATH [URL]");
	if (argc == 3 && (a->pass || a->key))
		return cmd_usage("journal show: a passphrase or key needs the volume's URL: zerofs "
				 "journal show %s URL",
				 argv[2]);
	if (argc == 3)
		return show(argv[2], NULL, a);
	rc = cmd_check_url(argv[3]);
	return rc ? rc : show(argv[2], argv[3], a);
}

int cmd_journal(const struct cmd *cmd, int argc, char **argv)
{
	struct journal_args a = { 0 };
	const struct cmd_opt opts[] = {
		{ "size", "SIZE", "create: of the file; of a block device all of it (default)",
		  &a.size, NULL },
		{ "force", NULL, "create: a block device may hold a clean journal already", NULL,
		  &a.force },
		{ "passphrase-file", "FILE",
		  "unlock with the first line of FILE; '-' is standard input", &a.pass, NULL },
		{ "key-file", "FILE", "unlock with the bytes of FILE", &a.key, NULL },
		{ "json", NULL, "show: as JSON", NULL, &a.json },
		{ "yes", NULL, "discard: do it", NULL, &a.yes },
		{ 0 }
	};
	static const char *const words[] = { "create", "show", "export", "discard" };
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 4), which;

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	which = cmd_opt_word(cmd, argv[1], words, 4);
	if (which < 0)
		return CMD_USAGE;
	if (which != 0 && (a.size || a.force))
		return cmd_usage("journal %s: --size and --force go with 'journal create'",
				 words[which]);
	if (which != 3 && a.yes)
		return cmd_usage("journal %s: --yes goes with 'journal discard'", words[which]);
	switch (which) {
	case 0:
		return argc == 4 ? create(argv[2], argv[3], &a) :
				   cmd_usage("journal create: usage: zerofs journal create "
					     "--size SIZE URL PATH");
	case 1:
		return run_show(argc, argv, &a);
	case 2:
		return argc == 5 ? save(argv[2], argv[3], argv[4], &a) :
				   cmd_usage("journal export: usage: zerofs journal export PATH "
					     "URL DIR");
	default:
		return argc == 4 ? save(argv[2], argv[3], NULL, &a) :
				   cmd_usage("journal discard: usage: zerofs journal discard "
					     "--yes PATH URL");
	}
}
