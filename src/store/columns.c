/* SPDX-License-Identifier: GPL-2.0-only */
/* Members of a record and a holder that are columns: one table for writing and for reading. The order is the tables'. */
#include "store/state.h"
#include <string.h>

#include "util/cleanup.h"

#define R(member) offsetof(struct record, member)
#define H(member) offsetof(struct holder, member)

const struct column record_columns[] = {
	{ COLUMN_U32, R(error) },
	{ COLUMN_WORD, R(proto), WORDS_PROTO, true },
	{ COLUMN_U8, R(family) },
	{ COLUMN_ADDRESS, R(addr) },
	{ COLUMN_U16, R(port) },
	{ COLUMN_U64, R(cookie) },
	{ COLUMN_U64, R(inode) },
	{ COLUMN_U32, R(options) },
	{ COLUMN_U32, R(sock_uid) },
	{ COLUMN_U32, R(backlog) },
	{ COLUMN_U8, R(state) },
	{ COLUMN_WORD, R(via), WORDS_VIA },
	{ COLUMN_WORD, R(since_precision), WORDS_PRECISION },
};
const size_t n_record_columns = ARRAY_SIZE(record_columns);

const struct column detail_columns[] = {
	{ COLUMN_U32, R(tid) },
	{ COLUMN_ADDRESS, R(asked_addr) },
	{ COLUMN_U16, R(asked_port) },
	{ COLUMN_ADDRESS, R(bound_addr) },
	{ COLUMN_U16, R(bound_port) },
	{ COLUMN_TEXT16, R(iface) },
	{ COLUMN_U32, R(ifindex) },
	{ COLUMN_U32, R(closed_by_pid) },
	{ COLUMN_TEXT16, R(closed_by_comm) },
	{ COLUMN_U64, R(held_ns) },
	{ COLUMN_U64, R(lingered_ns) },
	{ COLUMN_U8, R(reason) },
	{ COLUMN_WORD, R(kind), WORDS_HOLDER },
	{ COLUMN_U32, R(l3mdev) },
	{ COLUMN_U64, R(expires_ns) },
};
const size_t n_detail_columns = ARRAY_SIZE(detail_columns);

const struct column count_columns[] = {
	{ COLUMN_U64, R(count) },
	{ COLUMN_U64, R(took_us) },
	{ COLUMN_WORD, R(lost_where), WORDS_LOST },
	{ COLUMN_WORD, R(lost_action), WORDS_ACTION },
	{ COLUMN_U64, R(added) },
	{ COLUMN_U64, R(removed) },
	{ COLUMN_U64, R(kept) },
	{ COLUMN_U64, R(told) },
	{ COLUMN_U64, R(lost) },
	{ COLUMN_U64, R(hidden) },
	{ COLUMN_U64, R(clock_old_ns) },
	{ COLUMN_U64, R(clock_new_ns) },
};
const size_t n_count_columns = ARRAY_SIZE(count_columns);

const struct column holder_columns[] = {
	{ COLUMN_WORD, H(kind), WORDS_HOLDER, true },
	{ COLUMN_WORD, H(proto), WORDS_PROTO, true },
	{ COLUMN_U32, H(modifiers) },
	{ COLUMN_U32, H(options) },
	{ COLUMN_U64, H(cookie) },
	{ COLUMN_U64, H(inode) },
	{ COLUMN_U64, H(since_ns) },
	{ COLUMN_WORD, H(since_precision), WORDS_PRECISION },
	{ COLUMN_U64, H(expires_ns) },
	{ COLUMN_ADDRESS, H(addr) },
	{ COLUMN_U16, H(port) },
	{ COLUMN_U8, H(family) },
	{ COLUMN_U8, H(state) },
	{ COLUMN_U32, H(sock_uid) },
	{ COLUMN_U32, H(owners_count) },
	{ COLUMN_U32, H(ifindex) },
	{ COLUMN_U32, H(l3mdev) },
};
const size_t n_holder_columns = ARRAY_SIZE(holder_columns);

static const uint8_t sizes[] = {
	[COLUMN_U8] = 1,     [COLUMN_U16] = 2,     [COLUMN_U32] = 4,
	[COLUMN_U64] = 8,    [COLUMN_ADDRESS] = 1, /* its family */
	[COLUMN_TEXT16] = 1,                       /* its first byte */
};

bool columns_empty(const struct column *c, size_t n, const void *base)
{
	static const uint64_t zero;

	for (size_t i = 0; i < n; i++) {
		size_t size = c[i].type == COLUMN_WORD ? (c[i].wide ? 4 : 1) : sizes[c[i].type];

		if (memcmp((const char *)base + c[i].offset, &zero, size) != 0)
			return false;
	}
	return true;
}

/* Bit n is the n-th: append only, files have these. */
static const uint16_t record_flags[] = {
	R(has_socket),  R(has_asked_port), R(has_options), R(kernel),     R(ephemeral), R(explicit_port),
	R(has_backlog), R(has_process),    R(hook_addr),   R(correction), R(v6only),    R(bhash2),
};

#define FREE_SHIFT 12 /* two bits: FREE_* */

static const uint16_t holder_flags[] = {
	H(last_owner), H(tripped), H(has_options), H(explicit_port), H(v6only), H(bhash2),
};

static uint32_t bools_of(const void *base, const uint16_t *offsets, size_t n)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < n; i++)
		if (*(const bool *)((const char *)base + offsets[i]))
			bits |= 1u << i;
	return bits;
}

static void bools_into(void *base, const uint16_t *offsets, size_t n, uint32_t bits)
{
	for (size_t i = 0; i < n; i++)
		*(bool *)((char *)base + offsets[i]) = bits >> i & 1;
}

uint32_t flags_of(const struct record *rec)
{
	return bools_of(rec, record_flags, ARRAY_SIZE(record_flags)) |
	       (uint32_t)(rec->free & 3) << FREE_SHIFT | (rec->pinned ? FLAG_PINNED : 0);
}

void flags_into(struct record *rec, uint32_t flags)
{
	bools_into(rec, record_flags, ARRAY_SIZE(record_flags), flags);
	rec->free = flags >> FREE_SHIFT & 3;
	rec->pinned = flags & FLAG_PINNED;
}

uint32_t holder_flags_of(const struct holder *h)
{
	return bools_of(h, holder_flags, ARRAY_SIZE(holder_flags));
}

void holder_flags_into(struct holder *h, uint32_t flags)
{
	bools_into(h, holder_flags, ARRAY_SIZE(holder_flags), flags);
}
