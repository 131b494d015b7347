/* SPDX-License-Identifier: GPL-2.0-only */
/* When systemd was how far in a boot: moments of the boot clock in ns, 0 where it is not known or not so far yet. */
#ifndef CORE_BOOT_H
#define CORE_BOOT_H

#include <stdint.h>

struct boot_times {
	uint64_t userspace_ns; /* systemd was started */
	uint64_t sysinit_ns;   /* sysinit.target was reached */
	uint64_t network_ns;   /* network-online.target was reached */
	uint64_t finished_ns;  /* the last job of the boot was done */
};

#endif
