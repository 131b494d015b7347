/* SPDX-License-Identifier: GPL-2.0-only */
/* Parts of sentences about one event. */
#include "core/sentence.h"

#include "core/cells.h"
#include "core/explain.h"
#include "core/field.h"
#include "util/buf.h"

void sentence_port(struct buf *b, const struct view *v, uint32_t own_netns)
{
	char endpoint[64];

	buf_puts(b, proto_name(v->rec->proto));
	buf_putc(b, ' ');
	buf_puts_visible(b, endpoint_text(&v->rec->addr, v->rec->port, endpoint, sizeof(endpoint)));
	if (!v->rec->netns || !own_netns || v->rec->netns == own_netns)
		return;
	buf_puts(b, " in namespace ");
	if (v->netns_name)
		buf_puts_visible(b, v->netns_name);
	else
		buf_u64(b, v->rec->netns);
}

void sentence_who(struct buf *b, const struct view *v)
{
	char where[256];

	if (v->rec->has_process)
		cell_put_process(b, v->rec->comm, v->rec->pid);
	else
		buf_puts(b, v->rec->kernel ? "the kernel" : "a process");
	explain_where(v->process, where, sizeof(where));
	if (!where[0] || v->rec->tree)
		return;
	buf_puts(b, " (");
	buf_puts_visible(b, where);
	buf_putc(b, ')');
}

void sentence_failure(struct buf *b, const struct view *v, uint32_t own_netns)
{
	char scratch[16];

	sentence_who(b, v);
	buf_puts(b, v->rec->action == ACTION_LISTEN ? " could not listen on " : " could not bind ");
	sentence_port(b, v, own_netns);
	buf_puts(b, ": ");
	buf_puts(b, errno_name(v->rec->error, scratch));
}
