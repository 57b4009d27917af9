// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/cmd_secret.h"
#include "server/host.h"
#include "server/serve.h"
#include "server/settings.h"

struct texts {
	struct settings_texts volume;
	const char *pass, *key, *grace, *queues, *depth, *state_dir, *ready_fd;
};

static int take_grace(const char *text, uint32_t *ret)
{
	uint64_t ms;

	if (!strcmp(text, "forever")) {
		*ret = ZEROFS_GRACE_FOREVER;
		return 0;
	}
	if (parse_ms(text, &ms) || ms >= ZEROFS_GRACE_FOREVER)
		return cmd_usage("--grace: '%s' is not a time; as in 500ms, 60s, 5m, forever",
				 text);
	*ret = (uint32_t)ms;
	return 0;
}

static int take_queues(const char *text, struct session_conf *ret)
{
	const char *comma = strchr(text, ',');
	char w[8];
	uint64_t a, b;

	if (comma && (size_t)(comma - text) < sizeof(w)) {
		memcpy(w, text, (size_t)(comma - text));
		w[comma - text] = '\0';
		if (!parse_u64(w, 1, ZEROFS_MAX_QUEUES - 1, &a) &&
		    !parse_u64(comma + 1, 1, ZEROFS_MAX_QUEUES - a, &b)) {
			ret->write_queues = (uint32_t)a;
			ret->read_queues = (uint32_t)b;
			return 0;
		}
	}
	return cmd_usage("--queues: '%s' is not W,R: two numbers from 1, %u together at most", text,
			 ZEROFS_MAX_QUEUES);
}

static int take(const struct texts *t, struct serve_conf *c)
{
	char err[HOST_ERR_LEN];
	unsigned long depth = 128;
	int rc = settings_take(&t->volume, &c->volume, err);

	if (rc)
		return cmd_usage("%s", err);
	c->session = (struct session_conf){
		.grace_ms = ZEROFS_GRACE_DEFAULT_MS,
		.write_queues = settings_queues(),
		.read_queues = settings_queues(),
	};
	if (t->grace)
		rc = take_grace(t->grace, &c->session.grace_ms);
	if (!rc && t->queues)
		rc = take_queues(t->queues, &c->session);
	if (!rc && t->depth)
		rc = cmd_opt_number("depth", t->depth, 1, ZEROFS_MAX_DEPTH, &depth);
	c->session.depth = (uint32_t)depth;
	c->volume.write_queues = c->session.write_queues;
	return rc;
}

static int take_ready_fd(const char *text, int *ret)
{
	unsigned long n;
	int rc;

	*ret = -1;
	if (!text)
		return 0;
	rc = cmd_opt_number("ready-fd", text, 0, 1u << 20, &n);
	if (rc)
		return rc;
	/* Nothing that this process starts is to hold it open. */
	if (fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0)
		return cmd_usage("--ready-fd %lu is not open", n);
	*ret = (int)n;
	return 0;
}

static void wipe(void *ctx)
{
	cmd_secret_wipe(ctx);
}

int cmd_serve(const struct cmd *cmd, int argc, char **argv)
{
	bool abandon = false, accept = false;
	struct texts t = { 0 };
	bool no_fencing = false, takeover = false;
	struct serve_conf c = { 0 };
	const struct cmd_opt opts[] = {
		{ "memory", "BYTES", "all that the daemon uses: arena, caches, buffers (512M)",
		  &t.volume.memory, NULL },
		{ "passphrase-file", "FILE",
		  "the first line of FILE unlocks the volume; '-' is standard input", &t.pass,
		  NULL },
		{ "key-file", "FILE", "the bytes of FILE unlock the volume", &t.key, NULL },
		{ "grace", "TIME",
		  "how long I/O waits for a new daemon when this one dies, or 'forever' (60s)",
		  &t.grace, NULL },
		{ "queues", "W,R", "write and read queues of each device (by the number of CPUs)",
		  &t.queues, NULL },
		{ "depth", "N", "requests in flight on each queue (128)", &t.depth, NULL },
		{ "segment-size", "BYTES", "cut segments at this size (8M)", &t.volume.segment_size,
		  NULL },
		{ "segment-age", "TIME", "... or at this age (2s)", &t.volume.segment_age, NULL },
		{ "zstd-level", "N", "compression, 0 (none) to 19 (1)", &t.volume.zstd_level,
		  NULL },
		{ "read-ahead", "BYTES",
		  "largest window of what is read ahead of sequential READs, 0 = none (8M)",
		  &t.volume.read_ahead, NULL },
		{ "flush", "MODE",
		  "what a FLUSH waits for: 'local', the journal, or 'store' (store)",
		  &t.volume.flush, NULL },
		{ "journal", "PATH", "the journal: a file or partition of this host",
		  &t.volume.journal, NULL },
		{ "max-dirty-bytes", "BYTES",
		  "writes wait while more than this is not in the store (no limit)",
		  &t.volume.max_dirty_bytes, NULL },
		{ "max-dirty-age", "TIME",
		  "the journal answers no FLUSH while something has waited longer (no limit)",
		  &t.volume.max_dirty_age, NULL },
		{ "abandon-journal", NULL,
		  "start without this host's open journal; what only it holds is LOST", NULL,
		  &abandon },
		{ "accept-loss", NULL,
		  "start while another host's journal is open; what only it holds is LOST", NULL,
		  &accept },
		{ "state-dir", "DIR",
		  "what this host remembers of the volume (/var/lib/zerofs/UUID)", &t.state_dir,
		  NULL },
		{ "replace", NULL,
		  "take over from the daemon that serves the volume here, without an I/O error",
		  NULL, &c.replace },
		{ "stop-after", "SECONDS",
		  "without the store for so long, answer no FLUSH before it is back (off)",
		  &t.volume.stop_after, NULL },
		{ "takeover", NULL,
		  "serve the volume though another host seems to serve it, and end it there", NULL,
		  &takeover },
		{ "unsafe-no-fencing", NULL, "serve from a store that cannot keep two hosts apart",
		  NULL, &no_fencing },
		{ "ready-fd", "N",
		  "write a line to descriptor N when the devices are there, and close it",
		  &t.ready_fd, NULL },
		{ 0 }
	};
	struct cmd_secret_source from = {
		.use_env = 1,
		.prompt = "passphrase",
		.hint = "--passphrase-file or --key-file",
	};
	struct cmd_secret secret = { 0 };
	char err[HOST_ERR_LEN] = "";
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	c.wipe = wipe;
	c.wipe_ctx = &secret;
	c.url = argv[1];
	rc = cmd_check_url(c.url);
	if (rc)
		return rc;
	rc = take(&t, &c);
	c.volume.no_fencing = no_fencing;
	c.volume.takeover = takeover;
	if (!rc)
		rc = take_ready_fd(t.ready_fd, &c.ready_fd);
	if (rc)
		return rc;
	c.volume.abandon_journal = abandon;
	c.volume.accept_loss = accept;
	from.passphrase_file = t.pass;
	from.key_file = t.key;
	rc = cmd_secret_read(&secret, &from);
	if (rc)
		return rc;
	c.state_dir = t.state_dir;
	c.journal = t.volume.journal;
	c.secret = &secret.secret;
	rc = serve_run(&c, err);
	cmd_secret_wipe(&secret);
	if (rc)
		cmd_err("%s", err);
	return rc;
}
