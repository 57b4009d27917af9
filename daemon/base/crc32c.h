/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC32C (Castagnoli), by SSE4.2 where the CPU has it. Any thread. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues @crc (0 to begin) over @len bytes. */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

/* The same by tables only: what CPUs without the instruction run. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t len);

#endif
