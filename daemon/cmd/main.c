// SPDX-License-Identifier: GPL-2.0-or-later
/* `zerofs`: the table of subcommands. */
#include <stdio.h>
#include <string.h>

#include "uapi/zerofs.h"

#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "base/nearest.h"

#define NR_CMDS (sizeof(cmds) / sizeof(cmds[0]))

static int cmd_help(const struct cmd *cmd, int argc, char **argv);
static int cmd_version(const struct cmd *cmd, int argc, char **argv);

static const struct cmd cmds[] = {
	{
		.name = "format",
		.args = "URL",
		.summary = "Makes an empty volume in a store.",
		.text = "URL is file:///DIR, an existing folder or one whose parent "
			"exists. A volume that is there already\n"
			"is never overwritten. The passphrase comes from "
			"--passphrase-file, the file that\n"
			"ZEROFS_PASSPHRASE_FILE names, or a prompt.",
		.run = cmd_format,
	},
	{
		.name = "serve",
		.args = "URL",
		.summary = "Serves a volume as /dev/zerofsN until it is told to stop.",
		.text = "Runs in the foreground and prints one line when the devices "
			"are there. SIGTERM and SIGINT\n"
			"write everything to the store, remove the devices that nobody "
			"has open and end it; a\n"
			"second signal ends it at once, and the next serve goes on "
			"where this one stopped.",
		.run = cmd_serve,
	},
	{
		.name = "status",
		.args = "[NAME | /dev/zerofsN]",
		.summary = "Says how a volume, or every volume of this host, is doing.",
		.run = cmd_status,
	},
	{
		.name = "list",
		.args = "",
		.summary = "Lists the volumes of this host and their devices, one "
			   "device a line.",
		.run = cmd_list,
	},
	{
		.name = "stats",
		.args = "NAME | /dev/zerofsN",
		.summary = "Prints the counters of a volume that is served here.",
		.run = cmd_stats,
	},
	{
		.name = "detach",
		.args = "NAME | /dev/zerofsN",
		.summary = "Writes everything to the store, removes the devices and "
			   "ends the daemon.",
		.text = "Refuses while a device is open (mounted, in a pool) unless "
			"--force is given. Without a daemon\n"
			"it removes the devices that were left behind.",
		.run = cmd_detach,
	},
	{
		.name = "fail",
		.args = "NAME | /dev/zerofsN",
		.summary = "Fails all I/O of a volume whose daemon is stuck or gone.",
		.text = "Every request that waits ends with an I/O error. What was not "
			"flushed may be lost to its user.\n"
			"A daemon that attaches anew brings the volume back.",
		.run = cmd_fail,
	},
	{
		.name = "clear",
		.args = "NAME | /dev/zerofsN",
		.summary = "Lets a volume in state CACHE_LOST be used again.",
		.text = "Acknowledged writes were lost, and all I/O fails so that "
			"nobody takes the older image for the\n"
			"newer. Unmount, run this, and check the file system before it "
			"is used.",
		.run = cmd_clear,
	},
	{
		.name = "device",
		.args = "list NAME | read-only NAME DEVICE on|off",
		.summary = "Lists a volume's devices, or makes one read-only or writable.",
		.text = "DEVICE is a device's name or id, or /dev/zerofsN. The "
			"read-only switch lasts until the device is\n"
			"removed; it is not recorded in the volume.",
		.run = cmd_device,
	},
	{
		.name = "key",
		.args = "list URL | add URL | remove URL ID | rotate URL",
		.summary = "Lists the ways to unlock a volume, adds or removes one, or "
			   "changes the data key.",
		.text = "None needs a daemon; all need a passphrase or key file that the "
			"volume knows already, remove one\n"
			"that stays. rotate makes a new key for what is written from now "
			"on; what is in the store is not\n"
			"encrypted again.",
		.run = cmd_key,
	},
	{
		.name = "journal",
		.args = "create URL PATH | show PATH [URL] | export PATH URL DIR | "
			"discard PATH URL",
		.summary = "Makes a journal on a local disk, says what is in one, saves that or "
			   "gives it up.",
		.text = "PATH is a file that is not there yet, or a partition. Without "
			"URL nothing is unlocked, and show\n"
			"prints what stands at the journal's beginning. export writes what "
			"is in it to a new folder DIR;\n"
			"discard --yes empties it, and what the store lacks is lost. None "
			"needs a daemon.",
		.run = cmd_journal,
	},
	{
		.name = "probe",
		.args = "URL",
		.summary = "Tries whether a store does what a volume needs, how fast, and "
			   "at what price.",
		.text = "Writes objects below URL under names of its own, beside a "
			"volume that is there as well, and\n"
			"removes them again. The status is 0 if the store is usable.",
		.run = cmd_probe,
	},
	{
		.name = "version",
		.args = "",
		.summary = "Prints the versions of this program, the ABI it speaks and "
			   "the format it writes.",
		.run = cmd_version,
	},
	{
		.name = "help",
		.args = "[COMMAND]",
		.summary = "Prints this, or the help of a subcommand.",
		.run = cmd_help,
	},
};

static const struct cmd_opt no_opts[] = { { 0 } };

static const struct cmd *find(const char *word)
{
	for (size_t i = 0; i < NR_CMDS; i++) {
		if (!strcmp(cmds[i].name, word))
			return &cmds[i];
	}
	return NULL;
}

static int unknown(const char *word)
{
	const char *near = nearest_word(word, &cmds[0].name, NR_CMDS, sizeof(cmds[0]));

	if (near)
		return cmd_usage("there is no subcommand '%s'; did you mean '%s'?", word, near);
	return cmd_usage("there is no subcommand '%s'; see: zerofs help", word);
}

static int cmd_help(const struct cmd *cmd, int argc, char **argv)
{
	int rc = cmd_opt_parse(cmd, no_opts, &argc, argv, 0, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	if (argc > 1) {
		const struct cmd *c = find(argv[1]);
		char help[] = "--help";
		char *args[] = { argv[1], help, NULL };

		return c ? c->run(c, 2, args) : unknown(argv[1]);
	}
	printf("usage: zerofs COMMAND [options] ...\n\n"
	       "A block device whose bytes live in object storage.\n\ncommands:\n");
	for (size_t i = 0; i < NR_CMDS; i++)
		printf("  %-10s %s\n", cmds[i].name, cmds[i].summary);
	printf("\n`zerofs COMMAND --help` says more.\n");
	return CMD_OK;
}

static int cmd_version(const struct cmd *cmd, int argc, char **argv)
{
	int rc = cmd_opt_parse(cmd, no_opts, &argc, argv, 0, 0);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	printf("zerofs %s (ABI %u.%u, format %u)\n", ZEROFS_VERSION, ZEROFS_ABI_MAJOR,
	       ZEROFS_ABI_MINOR, 1u);
	return CMD_OK;
}

int main(int argc, char **argv)
{
	const struct cmd *c;
	int rc;

	if (argc < 2)
		return cmd_usage("no subcommand given; see: zerofs help");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		argv[1] = (char *)"help";
	else if (!strcmp(argv[1], "--version"))
		argv[1] = (char *)"version";
	if (argv[1][0] == '-')
		return cmd_usage("there is no option %s before a subcommand; see: zerofs help",
				 argv[1]);
	c = find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	rc = c->run(c, argc - 1, argv + 1);
	if (fflush(stdout) || ferror(stdout))
		return cmd_err("could not write the output: is the disk or pipe full?");
	return rc;
}
