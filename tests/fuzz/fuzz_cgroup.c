/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes as a cgroup path, a mountinfo, a runtime's JSON: whatever they say, nothing is read past them. */
#include "enrich/cgroup.h"

#include <stdlib.h>
#include <string.h>

#include "enrich/json_scan.h"
#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	struct json_scan scan = { .at = (const char *)data, .end = (const char *)data + size };
	struct cgroup_info info = { 0 };
	struct span value;
	char path[64];

	if (!text)
		return 0;
	cgroup_parse(text, &info);
	cgroup_info_done(&info);
	if (!cgroup2_mount(text, path, sizeof(path)) && strlen(path) >= sizeof(path))
		abort();
	while (json_scan_next(&scan, &value)) {
		if (value.at < (const char *)data || value.at + value.len > scan.end || scan.at > scan.end)
			abort();
	}
	return 0;
}
