// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/cleanup.h"

void machine_name(char *out, size_t len)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) || !name[0])
		strcpy(name, "unknown");
	snprintf(out, len, "%s", name);
}

void machine_id(uint8_t out[16])
{
	static const uint8_t context[] = "zerofs-machine-1";
	CLEANUP_CLOSE int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	char text[256];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 32) {
		machine_name(text, sizeof(text));
		n = (ssize_t)strlen(text);
	}
	crypto_generichash(out, 16, (const uint8_t *)text, (unsigned long long)n, context,
			   sizeof(context) - 1);
}
