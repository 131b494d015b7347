/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How far systemd is. It tells moments of CLOCK_MONOTONIC, everything else here is CLOCK_BOOTTIME: the two are equal until
 * the machine is suspended for the first time, and a boot is over long before that.
 */
#include "enrich/boot_times.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enrich/span.h"
#include "util/cleanup.h"
#include "util/command.h"
#include "util/parse.h"

#define ANSWER_MS 1000
#define ANSWER_MAX 4096
#define NS_PER_US 1000

static const char *const manager[] = {
	"show", "-p", "UserspaceTimestampMonotonic", "-p", "FinishTimestampMonotonic", NULL
};
static const char *const targets[] = {
	"show", "-p", "Id", "-p", "ActiveEnterTimestampMonotonic", "sysinit.target", "network-online.target",
	NULL
};

/* One thing that was shown: the manager, or a unit. What of it is wanted goes into the times at its end. */
struct block {
	struct span unit;
	uint64_t entered_ns;
};

static uint64_t moment(struct span value)
{
	char text[24];
	uint64_t us;

	if (value.len >= sizeof(text))
		return 0;
	memcpy(text, value.at, value.len);
	text[value.len] = '\0';
	return parse_u64(text, &us) || us > UINT64_MAX / NS_PER_US ? 0 : us * NS_PER_US;
}

static void block_end(struct block *b, struct boot_times *ret)
{
	if (span_is(b->unit, "sysinit.target"))
		ret->sysinit_ns = b->entered_ns;
	else if (span_is(b->unit, "network-online.target"))
		ret->network_ns = b->entered_ns;
	*b = (struct block){ 0 };
}

static void line_read(struct block *b, struct span line, struct boot_times *ret)
{
	if (cut_prefix(&line, "UserspaceTimestampMonotonic="))
		ret->userspace_ns = moment(line);
	else if (cut_prefix(&line, "FinishTimestampMonotonic="))
		ret->finished_ns = moment(line);
	else if (cut_prefix(&line, "ActiveEnterTimestampMonotonic="))
		b->entered_ns = moment(line);
	else if (cut_prefix(&line, "Id="))
		b->unit = line;
}

void boot_times_read(const char *text, struct boot_times *ret)
{
	struct block b = { 0 };

	while (*text) {
		struct span line = { text, strcspn(text, "\n") };

		if (line.len)
			line_read(&b, line, ret);
		else
			block_end(&b, ret);
		text += line.len + (text[line.len] == '\n');
	}
	block_end(&b, ret);
}

static bool ask(const char *const *words, struct boot_times *ret)
{
	const char *argv[16] = { access("/usr/bin/systemctl", X_OK) ? "/bin/systemctl"
								    : "/usr/bin/systemctl" };
	auto_free char *text = NULL;

	for (size_t i = 0; words[i] && i + 2 < ARRAY_SIZE(argv); i++)
		argv[i + 1] = words[i];
	text = command_read(argv, ANSWER_MS, ANSWER_MAX);
	if (!text)
		return false;
	boot_times_read(text, ret);
	return true;
}

bool boot_times_ask(struct boot_times *ret)
{
	struct boot_times times = { 0 };

	/* As sd_booted(3) does. */
	if (access("/run/systemd/system", F_OK) || !ask(manager, &times) || !ask(targets, &times))
		return false;
	*ret = times;
	return true;
}
