// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The nbdkit plugin: nbdkit's callbacks on one struct served. nbdkit speaks NBD and brings the
 * threads that requests wait in, 16 a connection unless told otherwise. Threads are started after
 * its fork; what a person may have typed wrong is said before.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "nbd/params.h"
#include "nbd/served.h"
#include "server/host.h"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define LOOK_NS	     10000000u /* how often to look whether it has come up */
#define PREFERRED    (32u << 10) /* what is read is decrypted in frames of this size */
#define MOST	     (32u << 20) /* what nbdkit and clients take for the largest request anyway */

static struct params params;
static struct served_conf conf;
static struct served *served;
static pid_t before_fork;

static int plugin_config(const char *key, const char *value)
{
	enum params_kind kind = params_kind(key);
	char *path = NULL;
	int on = 0;

	switch (kind) {
	case PARAMS_UNKNOWN:
		nbdkit_error("there is no parameter %s; see nbdkit-zerofs-plugin(1)", key);
		return -1;
	case PARAMS_SWITCH:
		on = nbdkit_parse_bool(value);
		if (on < 0)
			return -1;
		break;
	case PARAMS_FILE:
		path = !strcmp(key, "passphrase-file") && !strcmp(value, "-") ?
			       strdup(value) :
			       nbdkit_absolute_path(value);
		if (!path)
			return -1;
		break;
	case PARAMS_TEXT:
		break;
	}
	params_take(&params, key, path ? path : value, on);
	return 0;
}

static int plugin_config_complete(void)
{
	char err[HOST_ERR_LEN];

	if (!params_complete(&params, &conf, err))
		return 0;
	nbdkit_error("%s", err);
	return -1;
}

static int plugin_get_ready(void)
{
	before_fork = getpid();
	return 0;
}

/* In the background standard error is nowhere, but nbdkit may have a log. */
static void to_nbdkit(void *ctx, int level, const char *line)
{
	(void)ctx;
	if (level <= LOG_LEVEL_WARN)
		nbdkit_error("%s", line);
}

static int plugin_after_fork(void)
{
	const struct timespec pause = { 0, LOOK_NS };
	char err[HOST_ERR_LEN] = "out of memory";
	bool told = false;
	int rc;

	if (getpid() != before_fork) {
		log_set_hook(to_nbdkit, NULL);
		/* The rest is locked when there is a key: the store may be away until then. */
		rc = params_lock(&params);
		if (rc)
			log_warn("the passphrase or key file's bytes cannot be locked in memory "
				 "(mlock: %s): they may be paged out",
				 strerror(-rc));
	}
	rc = served_start(&served, &conf);
	while (!rc && !served_ready(served, &rc, err)) {
		if (told) {
			nanosleep(&pause, NULL);
		} else if (nbdkit_nanosleep(0, LOOK_NS) < 0) {
			told = true; /* to end */
			served_interrupt(served);
		}
	}
	if (!rc)
		return 0;
	nbdkit_error("%s", err);
	return -1;
}

static void plugin_cleanup(void)
{
	char err[HOST_ERR_LEN];

	/* A store that is away holds the end; a second signal ends the process at once. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	if (served_stop(served, err))
		nbdkit_error("%s", err);
	served = NULL;
}

static void plugin_unload(void)
{
	params_free(&params);
}

/* ---- connections: a handle is the device ------------------------------------------------- */

/* The one that @name means; "": the first. NULL: none, or not this one. */
static const struct volume_dev *find_device(const char *name)
{
	const struct volume_dev *d;
	uint32_t n = served_devices(served, &d);

	if (!*name && params.device)
		name = params.device;
	if (params.device && strcmp(name, params.device) != 0)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (!*name || !strcmp(d[i].name, name))
			return &d[i];
	}
	return NULL;
}

static int plugin_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	const struct volume_dev *d;
	uint32_t n = served_devices(served, &d);

	(void)readonly;
	(void)is_tls;
	for (uint32_t i = 0; i < n; i++) {
		if (params.device && strcmp(d[i].name, params.device) != 0)
			continue;
		if (nbdkit_add_export(exports, d[i].name, NULL) < 0)
			return -1;
	}
	return 0;
}

static const char *plugin_default_export(int readonly, int is_tls)
{
	const struct volume_dev *d = find_device("");

	(void)readonly;
	(void)is_tls;
	return d ? d->name : NULL;
}

static void *plugin_open(int readonly)
{
	const char *name = nbdkit_export_name();
	const struct volume_dev *d = name ? find_device(name) : NULL;

	(void)readonly; /* nbdkit sends no writes then */
	if (!d)
		nbdkit_error("the volume has no device '%s' to serve",
			     name && *name ? name : params.device);
	return (void *)d;
}

static int64_t plugin_get_size(void *handle)
{
	return (int64_t)((struct volume_dev *)handle)->size;
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
			     uint32_t *maximum)
{
	(void)handle;
	*minimum = IO_BLOCK_SIZE;
	*preferred = PREFERRED;
	*maximum = MOST;
	return 0;
}

static int plugin_can_write(void *handle)
{
	return !((struct volume_dev *)handle)->ro;
}

static int plugin_yes(void *handle)
{
	(void)handle;
	return 1;
}

static int plugin_no(void *handle)
{
	(void)handle;
	return 0;
}

static int plugin_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

/* ---- requests (any number of threads at once) -------------------------------------------- */

static int request(void *handle, enum io_op op, uint8_t flags, uint64_t off, uint64_t len,
		   void *data)
{
	const struct volume_dev *d = handle;
	int rc = served_io(served, d->id, op, flags, off, len, data);

	if (!rc)
		return 0;
	if (rc == -EINVAL)
		nbdkit_error("a request that is not a multiple of %u bytes; this client needs "
			     "--filter=blocksize minblock=%u",
			     IO_BLOCK_SIZE, IO_BLOCK_SIZE);
	else
		nbdkit_error("%s", strerror(-rc));
	nbdkit_set_error(-rc);
	return -1;
}

static uint8_t io_flags(uint32_t flags)
{
	return flags & NBDKIT_FLAG_FUA ? IO_F_FUA : 0;
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)flags;
	return request(handle, IO_READ, 0, offset, count, buf);
}

static int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
			 uint32_t flags)
{
	return request(handle, IO_WRITE, io_flags(flags), offset, count, (void *)buf);
}

static int plugin_flush(void *handle, uint32_t flags)
{
	(void)flags;
	return request(handle, IO_FLUSH, 0, 0, 0, NULL);
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return request(handle, IO_DISCARD, io_flags(flags), offset, count, NULL);
}

/* Always fast: it is a line in the log, as a discard is. */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	uint8_t f = io_flags(flags) | (flags & NBDKIT_FLAG_MAY_TRIM ? 0 : IO_F_NOUNMAP);

	return request(handle, IO_WRITE_ZEROES, f, offset, count, NULL);
}

static struct nbdkit_plugin plugin = {
	.name = "zerofs",
	.longname = "nbdkit zerofs plugin",
	.version = ZEROFS_VERSION,
	.description = "a volume on object storage, as zerofs serve serves it",
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.config_help = "url=URL              (required) the volume, as for zerofs serve\n"
		       "key-file=FILE        or passphrase-file=FILE: what unlocks it\n"
		       "device=NAME          serve this device of it alone\n"
		       "memory=BYTES journal=PATH flush=store|local takeover=true and others:\n"
		       "                     see nbdkit-zerofs-plugin(1)",
	.magic_config_key = "url",
	.get_ready = plugin_get_ready,
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,
	.unload = plugin_unload,
	.list_exports = plugin_list_exports,
	.default_export = plugin_default_export,
	.open = plugin_open,
	.get_size = plugin_get_size,
	.block_size = plugin_block_size,
	.can_write = plugin_can_write,
	.can_flush = plugin_yes,
	.is_rotational = plugin_no,
	.can_trim = plugin_yes,
	.can_zero = plugin_yes,
	.can_fast_zero = plugin_yes,
	.can_fua = plugin_can_fua,
	/* A FLUSH covers the whole log, whatever connection a write came through. */
	.can_multi_conn = plugin_yes,
	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.flush = plugin_flush,
	.trim = plugin_trim,
	.zero = plugin_zero,
	.errno_is_preserved = 0,
};

struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
