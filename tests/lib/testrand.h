/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers that repeat: libsodium's generator replaced by a seeded one. Single-threaded. */
#ifndef TESTRAND_H
#define TESTRAND_H

#include <stddef.h>
#include <stdint.h>

/* From here on randombytes_*() is a function of @seed and the calls made. */
void testrand_seed(uint64_t seed);

/* Where the seeded generator stands: testrand_seed() of it goes on from there. */
uint64_t testrand_state(void);

/* From here on randombytes_uniform() is 0: no pause that is drawn takes any time. All threads. */
void testrand_lowest(void);

/* The system's generator again. */
void testrand_system(void);

/* The next 64 bits of the seeded one. */
uint64_t testrand_u64(void);

/* A number in [0, @n). */
uint64_t testrand_below(uint64_t n);

#endif
