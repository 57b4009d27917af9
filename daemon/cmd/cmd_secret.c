// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "server/host.h"
#include "server/secret.h"

#define CTRL_C 3

void cmd_secret_wipe(struct cmd_secret *s)
{
	if (s->buf)
		sodium_free(s->buf);
	*s = (struct cmd_secret){ 0 };
}

static int from_file(struct cmd_secret *ret, const char *path, enum keys_secret_kind kind)
{
	char err[HOST_ERR_LEN];

	if (secret_read(&ret->secret, ret->buf, path, kind, err, sizeof(err)))
		return cmd_err("%s", err);
	return 0;
}

/* One line from the terminal, not shown. Its length, or -errno (-EINTR: Ctrl-C). */
static ssize_t ask(int tty, const char *prompt, unsigned char *buf, size_t max)
{
	struct termios old, quiet;
	ssize_t n;

	if (tcgetattr(tty, &old) < 0)
		return -errno;
	quiet = old;
	/* Signals would leave the terminal mute: Ctrl-C becomes a character that ends the line. */
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	quiet.c_cc[VEOL] = CTRL_C;
	if (tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
		return -errno;
	dprintf(tty, "%s: ", prompt);
	do {
		n = read(tty, buf, max);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	tcsetattr(tty, TCSAFLUSH, &old);
	dprintf(tty, "\n");
	if (n > 0 && buf[n - 1] == CTRL_C)
		return -EINTR;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	return n;
}

static int from_terminal(struct cmd_secret *ret, const struct cmd_secret_source *from)
{
	unsigned char *first = ret->buf, *second = first + KEYS_PASSPHRASE_MAX + 2;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	ssize_t n, m;

	if (tty < 0)
		return cmd_err("no passphrase and no terminal to ask for one: give %s", from->hint);
	n = ask(tty, from->prompt, first, KEYS_PASSPHRASE_MAX + 2);
	m = n;
	if (n > 0 && from->twice)
		m = ask(tty, "the same again", second, KEYS_PASSPHRASE_MAX + 2);
	close(tty);
	if (n < 0 || m < 0)
		return cmd_err("no passphrase was given");
	if (from->twice && (n != m || memcmp(first, second, (size_t)n) != 0))
		return cmd_err("the two passphrases differ; nothing was done");
	ret->secret = (struct keys_secret){ KEYS_PASSPHRASE, first, (size_t)n };
	if (keys_secret_check(&ret->secret))
		return cmd_err("the passphrase is empty or longer than %u bytes",
			       KEYS_PASSPHRASE_MAX);
	return 0;
}

int cmd_secret_read(struct cmd_secret *ret, const struct cmd_secret_source *from)
{
	const char *env = from->use_env ? getenv(CMD_SECRET_ENV) : NULL;
	struct cmd_secret s = { 0 };
	int rc;

	if (from->passphrase_file && from->key_file)
		return cmd_usage(
			"a passphrase file and a key file were given; one of them is enough");
	if (sodium_init() < 0)
		return cmd_err("the crypto library does not start");
	s.buf = sodium_malloc(SECRET_MAX);
	if (!s.buf)
		return cmd_err("out of memory (locked memory for a key; see ulimit -l)");
	if (from->key_file)
		rc = from_file(&s, from->key_file, KEYS_KEYFILE);
	else if (from->passphrase_file || (env && *env))
		rc = from_file(&s, from->passphrase_file ? from->passphrase_file : env,
			       KEYS_PASSPHRASE);
	else
		rc = from_terminal(&s, from);
	if (rc)
		cmd_secret_wipe(&s);
	else
		*ret = s;
	return rc;
}
