/* SPDX-License-Identifier: GPL-2.0-only */
/* Capabilities, by libcap. They belong to a thread, not to the process (capabilities(7)). */
#include "util/privileges.h"

#include <errno.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "util/fail.h"

static const cap_flag_t flags[] = { CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE };

static void cap_release(cap_t *c)
{
	if (*c)
		(void)cap_free(*c);
}

#define auto_cap __attribute__((cleanup(cap_release)))

/* "cap_x,cap_y" as a set. Text without a name stands for all of them in libcap: nothing is another call. */
static cap_t set_of(const char *names)
{
	char text[256];

	if (!names[0])
		return cap_init();
	snprintf(text, sizeof(text), "%s=p", names);
	return cap_from_text(text);
}

/* An ambient capability goes with its permitted or inheritable one. */
static int give_up(cap_t have, cap_value_t c)
{
	(void)cap_drop_bound(c); /* without CAP_SETPCAP it stays: no use, once no_new_privs is set */
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (cap_set_flag(have, flags[i], 1, &c, CAP_CLEAR))
			return -errno;
	return 0;
}

int privileges_keep(const char *names)
{
	auto_cap cap_t have = cap_get_proc();
	auto_cap cap_t keep = set_of(names);
	int r = have && keep ? 0 : -errno;

	for (cap_value_t c = 0; !r && c < cap_max_bits(); c++) {
		cap_flag_value_t wanted = CAP_CLEAR;

		if (cap_get_flag(keep, c, CAP_PERMITTED, &wanted))
			r = -errno;
		else if (wanted == CAP_CLEAR)
			r = give_up(have, c);
	}
	if (!r && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || cap_set_proc(have)))
		r = -errno;
	return r ? fail(r, "give up privileges") : 0;
}

bool privileges_has(const char *name)
{
	auto_cap cap_t have = cap_get_proc();
	cap_flag_value_t set = CAP_CLEAR;
	cap_value_t c;

	return have && !cap_from_name(name, &c) && !cap_get_flag(have, c, CAP_EFFECTIVE, &set) &&
	       set == CAP_SET;
}

const char *privileges_text(char *text, size_t size)
{
	auto_cap cap_t have = cap_get_proc();
	char *words = have ? cap_to_text(have, NULL) : NULL;

	snprintf(text, size, "%s", words ? words : "?");
	if (words)
		(void)cap_free(words);
	return text;
}
