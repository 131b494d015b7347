/* SPDX-License-Identifier: GPL-2.0-only */
/* Producers that bind without pause, and numbers that are told with their spread and their bound. */
#ifndef LIVE_BENCH_H
#define LIVE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * "name value unit (min-max) bound": the median of @n values, which are sorted. false, and the line says so, when the
 * median is above @bound; a bound of 0 is none.
 */
bool bench_report(const char *name, double *values, size_t n, const char *unit, double bound);

void bench_pin(int cpu);         /* this process, to one processor */
const char *bench_portlog(void); /* the program: $PORTLOG, or build/portlog */

/*
 * @processes children with @files open files and @sockets TCP sockets each that listen on ports from 10000 on; they live
 * as long as this process, or until bench_depopulate(). 0 or negative errno.
 */
int bench_populate(unsigned processes, unsigned files, unsigned sockets);
void bench_depopulate(void);

/*
 * How often bench_bind() found a port still busy and tried it again, in this process and in those forked after the first
 * call: each is a bind that failed.
 */
uint64_t bench_retries(void);

/* Bind explicit TCP ports of 127.0.0.1 from @first on, @n in turn, and close each: @times times. Nanoseconds it took. */
uint64_t bench_bind(uint16_t first, unsigned n, unsigned times);

/*
 * @n children, each on a processor of its own, that do so at the same moment with ports of their own; the time from
 * their start to the end of the last.
 */
uint64_t bench_bind_from(unsigned n_children, unsigned times);

/* Resident memory of @pid, VmRSS of proc(5): with the pages of the ring, which are the map's. 0: it is not there. */
double bench_resident_mib(pid_t pid);

#endif
