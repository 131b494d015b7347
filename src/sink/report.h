/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tracing half of `run` tells the half that shows it: lines, each begun by what it is. All foreign text in them
 * is escaped already.
 */
#ifndef SINK_REPORT_H
#define SINK_REPORT_H

#define REPORT_READY '='     /* the hooks are there and all that was held before is known; nothing follows */
#define REPORT_COMPLETE '.'  /* all is told; nothing follows */
#define REPORT_FAILURE '!'   /* a line about a bind or listen of the command that failed */
#define REPORT_ELSEWHERE '?' /* the same of somebody else */
#define REPORT_NOTE '-'      /* about the command, and no failure */
#define REPORT_EVENT 'j'     /* one event as JSON */

/* Lines that go on about the same thing begin with so many spaces, behind the first character. */
#define REPORT_INDENT "         "

#endif
