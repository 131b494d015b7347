/* SPDX-License-Identifier: GPL-2.0-only */
/* What a player and the actor share: notes, the story of a failure, and a line to send commands on. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>

#define NOTES_MAX 32
#define COMMAND_MAX 64

struct note {
	char name[24];
	char text[512];
};

struct board {
	int lock; /* of notes: threads and processes take turns */
	struct note notes[NOTES_MAX];
	char story[256]; /* why the player gave up; empty: it did not */
};

extern struct board *board; /* in memory shared with all players */
extern int player_line;     /* the player's end, SOCK_SEQPACKET: a command out, a byte back */

void board_make(void);
void board_clear(void);

#endif
