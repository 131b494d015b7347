/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers, ports, sizes, durations and addresses from text. All: 0 or -EINVAL/-ERANGE, nothing else is touched. */
#ifndef UTIL_PARSE_H
#define UTIL_PARSE_H

#include <stddef.h>
#include <stdint.h>

int parse_u32(const char *text, uint32_t *ret);
int parse_u64(const char *text, uint64_t *ret);
int parse_port(const char *text, uint16_t *ret);        /* 0..65535; -ERANGE above */
int parse_size(const char *text, uint64_t *ret_bytes);  /* 8M, 512K, 1G, bytes */
int parse_duration(const char *text, uint64_t *ret_ns); /* 30s, 0.2s, 5m, 2h, 1d, 10us; bare: seconds */
/* What @n digits behind a point are of @factor; what is smaller than 1 goes. */
uint64_t parse_fraction_of(const char *digits, size_t n, uint64_t factor);
/* "10.0.0.0/8", "::1", "127.0.0.1": family AF_INET or AF_INET6, prefix in bits. */
int parse_prefix(const char *text, uint8_t *ret_family, uint8_t ret_addr[16], unsigned *ret_prefix);

#endif
