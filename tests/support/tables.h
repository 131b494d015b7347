/* SPDX-License-Identifier: GPL-2.0-only */
/* A ledger with one socket of each kind, for the table of what is held. */
#ifndef TESTS_SUPPORT_TABLES_H
#define TESTS_SUPPORT_TABLES_H

#include "support/views.h"
#include "view/table.h"

/* Render it as @o says (its view and arg are ours). 0 or negative errno; views_free() is the caller's. */
int table_of_everything(const struct table_options *o, struct buf *out);

#endif
