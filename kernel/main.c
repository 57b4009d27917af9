// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

#include "ctl.h"
#include "session.h"
#include "stats.h"

static int __init zerofs_init(void)
{
	int err;

	err = zerofs_session_setup();
	if (err)
		return err;
	zerofs_devs_setup(&zerofs_stats_group);
	err = zerofs_ctl_register();
	if (err)
		goto err_session;
	return 0;

err_session:
	zerofs_session_cleanup();
	return err;
}

static void __exit zerofs_exit(void)
{
	zerofs_ctl_unregister();
	zerofs_session_cleanup();
	zerofs_devs_cleanup();
}

module_init(zerofs_init);
module_exit(zerofs_exit);

MODULE_DESCRIPTION("Block devices whose bytes live in object storage");
MODULE_LICENSE("GPL");
MODULE_VERSION(ZEROFS_VERSION);
