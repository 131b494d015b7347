/* SPDX-License-Identifier: GPL-2.0-only */
/* The run in figures, and whoever looks after it. */
#include <stdarg.h>
#include <stdio.h>

#include "pipeline/state.h"

uint64_t lost_all(const struct pipeline *p)
{
	uint64_t all = 0;

	for (unsigned where = 0; where < N_LOST; where++)
		all += p->lost_at[where];
	return all;
}

/* Walks the ledger: for now and then. */
static void stats_take(const struct pipeline *p, struct pipeline_stats *ret)
{
	*ret = (struct pipeline_stats){
		.told = p->told,
		.failed = p->failed,
		.ephemeral = tracer_hidden(p->tracer),
		.refused = ledger_refused(p->ledger),
		.bad_records = p->bad_records,
		.processes = processes_count(p->processes),
		.ring_used = ring_produced(p->ring) - ring_released(p->ring),
		.ring_bytes = p->config->ring_bytes,
		.lag_ns = p->lag_ns,
	};
	for (unsigned where = 0; where < N_LOST; where++)
		ret->lost[where] = p->lost_at[where];
	for (struct entry *e = NULL; (e = ledger_next(p->ledger, e));)
		if (e->told.proto <= PROTO_MPTCP)
			ret->held[e->told.proto]++;
}

void drain_timed(struct pipeline *p, uint64_t now_ns)
{
	p->last_record_ns = now_ns;
	if (p->oldest_ns && now_ns > p->oldest_ns && now_ns - p->oldest_ns > p->lag_ns)
		p->lag_ns = now_ns - p->oldest_ns;
	p->oldest_ns = 0;
}

void keeper_synced(struct pipeline *p)
{
	const struct pipeline_keeper *k = p->config->keeper;
	struct pipeline_stats s;

	if (!k)
		return;
	p->oldest_ns = 0; /* what was there before is no lag */
	if (k->look_ns)
		p->look_next_ns = clock_boot_ns() + k->look_ns;
	stats_take(p, &s);
	if (k->synced)
		k->synced(k->arg, &s);
	if (k->look)
		k->look(k->arg, &s);
}

void keeper_tick(struct pipeline *p, uint64_t now_ns)
{
	const struct pipeline_keeper *k = p->config->keeper;
	struct pipeline_stats s;

	if (!k || !k->look || !p->look_next_ns || now_ns < p->look_next_ns)
		return;
	p->look_next_ns = now_ns + k->look_ns;
	stats_take(p, &s);
	p->lag_ns = 0;
	k->look(k->arg, &s);
}

bool keeper_reopens(const struct pipeline *p)
{
	return p->config->keeper && p->config->keeper->reopen;
}

void keeper_stopping(const struct pipeline *p)
{
	const struct pipeline_keeper *k = p->config->keeper;

	if (k && k->stopping)
		k->stopping(k->arg);
}

void keeper_figures(const struct pipeline *p)
{
	const struct pipeline_keeper *k = p->config->keeper;

	if (k && k->figures)
		k->figures(k->arg);
}

void keeper_say(const struct pipeline *p, const char *fmt, ...)
{
	const struct pipeline_keeper *k = p->config->keeper;
	char text[512];
	va_list ap;

	if (!k || !k->say)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	k->say(k->arg, text);
}
