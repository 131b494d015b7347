/* SPDX-License-Identifier: GPL-2.0-only */
/* The strings of a JSON text, one after the other. */
#ifndef ENRICH_JSON_SCAN_H
#define ENRICH_JSON_SCAN_H

#include "enrich/span.h"

struct json_scan {
	const char *at;
	const char *end;
	int depth;       /* of brackets around the value */
	struct span key; /* the last one before the value */
};

/* The next string that is a value, as it stands, escapes and all; false: there is none left. Needs at and end. */
bool json_scan_next(struct json_scan *scan, struct span *ret);

#endif
