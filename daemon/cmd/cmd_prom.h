/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_prom: counters as Prometheus reads them from a text file or a scrape. */
#ifndef CMD_CMD_PROM_H
#define CMD_CMD_PROM_H

#include <jansson.h>

/* Prints @stats, the answer of a daemon, with what cmd_cost_add() has added. */
void cmd_prom_print(const json_t *stats);

#endif
