/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the boot view share; private to src/view/boot*.c. */
#ifndef VIEW_BOOT_ROWS_H
#define VIEW_BOOT_ROWS_H

#include "view/boot.h"

#define BOOT_ROWS_MAX 8192
#define BOOT_GAPS_MAX 16
#define BOOT_NONE SIZE_MAX /* no such row */

enum boot_kind { BOOT_OWNER, BOOT_FAILURE, BOOT_HOLDER };

struct boot_row {
	enum boot_kind kind;
	struct view *view; /* the event that told of it, kept; of a holder the event that it would have been */
	uint64_t time_ns;  /* boot clock */
	uint8_t precision; /* enum precision, of that */
	bool shown;
	bool quiet;       /* not shown unless somebody fails because of it */
	size_t next_port; /* the row before it of the same port, whatever the address */

	/* owner */
	bool held_before;     /* it was there when the recorder came */
	bool unseen;          /* it was there when the recorder came back */
	uint64_t listened_ns; /* 0: not */
	uint64_t released_ns; /* the last of its sockets; 0: not */
	unsigned open;        /* sockets of it that have the port */
	unsigned again;       /* how often it took it once more */
	uint64_t again_ns;    /* the last time */
	size_t before;        /* another owner's row of the same address and port */
	bool before_open;     /* and that had it still */
	bool handed;
	struct owner to; /* handed: to whom */

	/* failure */
	size_t first; /* the same failure before; its own number if there is none */
	unsigned times;
	uint64_t last_ns;
	bool told_apart; /* the holder has a row that says what it is */
	bool had;        /* the holder is known to have had it for so long */
	uint8_t had_precision;
	uint64_t had_ns;

	struct holder holder; /* of a holder; its pointers are those of the view */
};

struct boot_gap {
	uint64_t from_ns, to_ns;
};

struct boot {
	struct boot_options o;
	struct boot_row *rows; /* in the order in which they were told */
	size_t n, room;
	size_t *order; /* of those to show, by time */
	size_t n_order;
	size_t left_out;       /* rows that there was no room for */
	size_t left_out_again; /* of these, failures that are counted in the first of them */
	struct boot_sockets *sockets;
	struct boot_ports *ports;

	struct session session; /* of the first event; its texts are not kept */
	char hooks[16];
	bool begun;       /* there was an event */
	bool cut;         /* the beginning is not in the history any more */
	uint64_t on_ns;   /* when the hooks were on; 0: not known */
	uint64_t end_ns;  /* of what is looked at; UINT64_MAX: none yet */
	uint64_t last_ns; /* the last event */
	bool stopped;     /* which was the recorder's own end */
	unsigned runs;    /* of the recorder */
	bool held_before; /* something was, before the first */
	bool syncing;     /* between a start and its `synced` */
	uint64_t lost;    /* events */
	struct boot_gap gaps[BOOT_GAPS_MAX];
	size_t n_gaps;
};

#endif
