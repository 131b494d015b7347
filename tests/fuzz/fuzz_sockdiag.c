/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a datagram from the kernel: every row handed out is whole, nothing is read past the end. */
#include "source/sockdiag.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(void *arg, const struct diag_row *row)
{
	if ((row->family != AF_INET && row->family != AF_INET6) || row->addr.family != row->family)
		abort();
	return ++*(int *)arg > 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free void *datagram = malloc(size ?: 1); /* aligned, as what recvmsg fills is */
	uint64_t bad;
	int rows = 0;
	bool done;

	if (!datagram)
		return 0;
	memcpy(datagram, data, size);
	sockdiag_decode(datagram, size, 1, PROTO_TCP, check, &rows, &bad, &done);
	return 0;
}
