/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a cgroup path and as a mountinfo: whatever they say, it is said without reading past them. */
#include "enrich/cgroup.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	struct cgroup_info info = { 0 };
	char path[64];

	if (!text)
		return 0;
	cgroup_parse(text, &info);
	cgroup_info_done(&info);
	if (!cgroup2_mount(text, path, sizeof(path)) && strlen(path) >= sizeof(path))
		abort();
	return 0;
}
