// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_jsave.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_jsb.h"
#include "cmd/cmd_jwalk.h"

#define OPS_FILE  "operations.txt"
#define DATA_FILE "data.bin"

/* "4 operations, 8.0 KiB of data, writes 15 to 20" */
static void print_found(const struct cmd_jwalk *w)
{
	char size[PARSE_SIZE_STR];

	printf("%" PRIu64 " operations, %s of data", w->ops, parse_size_str(size, w->data));
	if (w->records)
		printf(", writes %" PRIu64 " to %" PRIu64, w->first, w->last);
}

/* ---- export ------------------------------------------------------------------------------ */

struct out {
	const char *dir;
	int dir_fd, parent_fd;
	FILE *ops, *data;
	uint64_t off; /* in data */
};

static const char *kind_name(const struct fmt_journal_op *op)
{
	if (op->kind == FMT_JOURNAL_WRITE)
		return "write";
	if (op->kind == FMT_JOURNAL_DISCARD)
		return "discard";
	return op->flags & FMT_JOURNAL_NOUNMAP ? "zeroes-keep" : "zeroes";
}

static int put_record(void *ctx, const struct fmt_journal_rec *r, const struct fmt_journal_op *ops,
		      const uint8_t *payload)
{
	struct out *o = ctx;
	size_t len = (size_t)r->nr_blocks * FMT_JOURNAL_BLOCK;

	for (uint32_t i = 0; i < r->nr_ops; i++) {
		const struct fmt_journal_op *op = &ops[i];

		fprintf(o->ops, "%" PRIu64 " %u %s %" PRIu64 " %u ", op->wno, op->dev,
			kind_name(op), op->lba, op->blocks);
		if (op->kind != FMT_JOURNAL_WRITE) {
			fprintf(o->ops, "-\n");
			continue;
		}
		fprintf(o->ops, "%" PRIu64 "\n", o->off);
		o->off += (uint64_t)op->blocks * FMT_JOURNAL_BLOCK;
	}
	if (len && fwrite(payload, len, 1, o->data) != 1)
		return errno ? -errno : -EIO;
	return ferror(o->ops) ? -EIO : 0;
}

static int put_gap(void *ctx, uint64_t from, uint64_t to)
{
	struct out *o = ctx;

	fprintf(o->ops, "# gap: there is no whole record at position %" PRIu64, from);
	if (to)
		fprintf(o->ops, "; what follows was found at position %" PRIu64, to);
	fprintf(o->ops, "\n");
	return 0;
}

static FILE *new_file(const struct out *o, const char *name)
{
	int fd = openat(o->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f && fd >= 0)
		close(fd);
	return f;
}

/* The folder that @path lies in. */
static int open_parent(const char *path)
{
	CLEANUP_FREE char *s = strdup(path);
	char *slash;
	size_t n;

	if (!s)
		return -1;
	for (n = strlen(s); n > 1 && s[n - 1] == '/'; n--)
		s[n - 1] = '\0';
	slash = strrchr(s, '/');
	if (slash)
		slash[slash == s] = '\0';
	return open(slash ? s : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* 0 or -errno; then there may be some of it, for out_end(). */
static int out_begin(struct out *o, const char *dir)
{
	*o = (struct out){ .dir_fd = -1, .parent_fd = -1 };
	if (mkdir(dir, 0700))
		return -errno;
	o->dir = dir;
	o->parent_fd = open_parent(dir);
	o->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->parent_fd < 0 || o->dir_fd < 0)
		return -errno;
	o->ops = new_file(o, OPS_FILE);
	if (!o->ops)
		return -errno;
	o->data = new_file(o, DATA_FILE);
	if (!o->data)
		return -errno;
	fprintf(o->ops, "# wno device operation LBA blocks offset-in-" DATA_FILE "\n");
	return 0;
}

/* Closes @f. 0: all of it is on the disk. */
static int file_end(FILE *f)
{
	int rc = 0;

	if (!f)
		return 0;
	errno = 0;
	if (ferror(f) || fflush(f) || fsync(fileno(f)))
		rc = errno ? -errno : -EIO;
	if (fclose(f) && !rc)
		rc = -errno;
	return rc;
}

/* @rc: how it went so far. Leaves all or nothing. */
static int out_end(struct out *o, int rc)
{
	int a = file_end(o->ops), b = file_end(o->data);

	if (!rc)
		rc = a ? a : b;
	if (!rc && (fsync(o->dir_fd) || fsync(o->parent_fd)))
		rc = -errno;
	if (rc && o->dir) {
		if (o->dir_fd >= 0) {
			unlinkat(o->dir_fd, OPS_FILE, 0);
			unlinkat(o->dir_fd, DATA_FILE, 0);
		}
		rmdir(o->dir);
	}
	if (o->dir_fd >= 0)
		close(o->dir_fd);
	if (o->parent_fd >= 0)
		close(o->parent_fd);
	return rc;
}

int cmd_jsave_export(const char *path, const char *dir, const struct cmd_journal_owner *o)
{
	CLEANUP_CLOSE int fd = cmd_jsb_open(path, true);
	struct fmt_journal_sb sb;
	struct out out;
	struct cmd_jwalk w = {
		.fd = fd, .sb = &sb, .o = o, .record = put_record, .gap = put_gap, .ctx = &out
	};
	int rc;

	if (fd < 0 || cmd_jsb_read_of(fd, path, &sb, o, NULL))
		return CMD_FAILED;
	rc = out_begin(&out, dir);
	if (!rc)
		rc = cmd_jwalk_all(&w);
	rc = out_end(&out, rc);
	if (rc == -EEXIST)
		return cmd_err("%s: is there already; name a folder that is not", dir);
	if (rc)
		return cmd_err("%s to %s: %s", path, dir, strerror(-rc));
	printf("exported ");
	print_found(&w);
	printf(", to %s\n", dir);
	if (w.gaps)
		return cmd_err("%s: the chain of records breaks at position %" PRIu64
			       ", a record there is damaged or missing; what was found behind it "
			       "is exported too, after a line '# gap'",
			       path, w.broken_at);
	return CMD_OK;
}

/* ---- discard ----------------------------------------------------------------------------- */

/* "3 days" */
static void print_age(uint64_t us)
{
	static const struct {
		uint64_t s;
		const char *name;
	} units[] = { { 86400, "days" }, { 3600, "hours" }, { 60, "minutes" }, { 1, "seconds" } };
	uint64_t now = clock_real_us(clock_system()), s = now > us ? (now - us) / 1000000 : 0;
	size_t i = 0;

	while (units[i].s > 1 && s < 2 * units[i].s)
		i++;
	printf("%" PRIu64 " %s", s / units[i].s, units[i].name);
}

static void print_loss(const struct cmd_jwalk *w)
{
	char uuid[UUID_STR_LEN], when[CMD_JSB_WHEN];

	printf("journal %s of volume %s holds ", uuid_str(uuid, w->sb->journal), w->o->name);
	print_found(w);
	printf("\nlast saved %s UTC, %s", cmd_jsb_when(when, w->sb->saved_us),
	       w->sb->clean ? "clean, " : "");
	print_age(w->sb->saved_us);
	printf(" ago\n");
	if (w->gaps)
		printf("the chain of records breaks at position %" PRIu64
		       "; what is damaged there is not counted\n",
		       w->broken_at);
}

static int discard(struct cmd_jsb_dev *x, int fd, const char *path,
		   const struct cmd_journal_owner *o, bool yes)
{
	struct fmt_journal_sb sb, next;
	struct cmd_jwalk w = { .fd = fd, .sb = &sb, .o = o };
	int copy, rc;

	if (cmd_jsb_read_of(fd, path, &sb, o, &copy))
		return CMD_FAILED;
	rc = cmd_jwalk_all(&w);
	if (rc)
		return cmd_err("%s: %s", path, strerror(-rc));
	print_loss(&w);
	if (!yes)
		return cmd_err("nothing was changed; with --yes these writes are given up for "
			       "good, 'zerofs journal export' saves them");
	next = sb;
	next.generation++;
	next.start = cmd_jwalk_fresh_start(&w);
	memset(next.start_prev, 0, sizeof(next.start_prev));
	next.clean = true;
	next.saved_us = clock_real_us(clock_system());
	rc = cmd_jsb_write(x, !copy, &next, o);
	if (rc)
		return cmd_err("%s: %s", path, strerror(-rc));
	printf("given up: the journal is empty\n");
	return CMD_OK;
}

int cmd_jsave_discard(const char *path, const struct cmd_journal_owner *o, bool yes)
{
	struct cmd_jsb_dev x;
	int fd, rc = cmd_jsb_take(&x, path);

	if (rc)
		return cmd_jsb_explain_dev(path, rc);
	fd = cmd_jsb_open(path, false);
	rc = fd < 0 ? CMD_FAILED : discard(&x, fd, path, o, yes);
	if (fd >= 0)
		close(fd);
	cmd_jsb_release(&x);
	return rc;
}
