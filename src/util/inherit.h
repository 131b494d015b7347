/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this process was started with and has changed for itself since, so that a program that it starts finds things as
 * they were: signals, which standard descriptors were closed, and how many files may be open.
 */
#ifndef UTIL_INHERIT_H
#define UTIL_INHERIT_H

void inherit_note(void); /* first of all in main() */

/* As many open files as are allowed: an inventory takes one for each network namespace, and a tracer one for each hook. */
void inherit_files_raise(void);

/* In a child, before exec: dispositions and mask. Handlers are not known; what exec leaves of them is the default. */
void inherit_signals(void);
/* The same of descriptors 0 to 2: closed again. */
void inherit_descriptors(void);
/* As many files as before. */
void inherit_files(void);

#endif
