/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmarks and the storm have in common. */
#include "live/lib/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define FIRST_PORT 2000
#define PORTS_EACH 4000
#define CHILDREN_MAX 4
#define CROWD_MAX 1024
#define CROWD_PORT 10000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

bool bench_report(const char *name, double *values, size_t n, const char *unit, double bound)
{
	bool fine;

	qsort(values, n, sizeof(*values), compare);
	fine = !bound || values[n / 2] <= bound;
	printf("%-52s %9.3f %-5s (%.3f-%.3f)", name, values[n / 2], unit, values[0], values[n - 1]);
	if (bound)
		printf("  at most %g: %s", bound, fine ? "yes" : "NO");
	putchar('\n');
	fflush(stdout);
	return fine;
}

void bench_pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		perror("sched_setaffinity");
}

const char *bench_portlog(void)
{
	return getenv("PORTLOG") ?: "build/portlog";
}

static _Atomic uint64_t *retries; /* shared with children */

uint64_t bench_retries(void)
{
	if (!retries)
		retries = mmap(NULL, sizeof(*retries), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			       0);
	if (retries == MAP_FAILED)
		abort();
	return *retries;
}

static void bind_and_close(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t begin = 0;

	/* Whoever passes over all descriptors, as a resync does, keeps a socket that is closed then until the pass is over. */
	while (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		begin = begin ? begin : now_ms();
		if (fd < 0 || errno != EADDRINUSE || now_ms() > begin + TRACER_TIMEOUT_MS) {
			perror("bind");
			_exit(1);
		}
		if (retries)
			++*retries;
	}
	close(fd);
}

uint64_t bench_bind(uint16_t first, unsigned n, unsigned times)
{
	uint64_t start = now_boot_ns();

	for (unsigned i = 0; i < times; i++)
		bind_and_close((uint16_t)(first + i % n));
	return now_boot_ns() - start;
}

/* Wait for the starting signal: the end of the file. */
static void __attribute__((noreturn)) produce(unsigned i, int signal_fd, unsigned times)
{
	char byte;

	bench_pin((int)i);
	(void)!read(signal_fd, &byte, 1);
	bench_bind((uint16_t)(FIRST_PORT + i * PORTS_EACH), PORTS_EACH, times);
	_exit(0);
}

uint64_t bench_bind_from(unsigned n_children, unsigned times)
{
	pid_t children[CHILDREN_MAX];
	uint64_t start;
	int fds[2], status;

	if (n_children > CHILDREN_MAX || pipe(fds))
		abort();
	for (unsigned i = 0; i < n_children; i++) {
		children[i] = fork();
		if (children[i])
			continue;
		close(fds[1]);
		produce(i, fds[0], times);
	}
	close(fds[0]);
	start = now_boot_ns();
	close(fds[1]);
	for (unsigned i = 0; i < n_children; i++) {
		if (waitpid(children[i], &status, 0) < 0 || status)
			abort();
	}
	return now_boot_ns() - start;
}

/* ---- a machine with much to look at ---- */

static pid_t crowd[CROWD_MAX];
static unsigned crowd_size;

static int listen_at(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1) ? -errno : 0;
}

static void __attribute__((noreturn)) inhabit(unsigned files, unsigned sockets, uint16_t first, int ready)
{
	int r = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < files && !r; i++)
		r = open("/dev/null", O_RDONLY) < 0 ? -errno : 0;
	for (unsigned i = 0; i < sockets && !r; i++)
		r = listen_at((uint16_t)(first + i));
	if (write(ready, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	for (;;)
		pause();
}

static int inhabitant_new(unsigned files, unsigned sockets, uint16_t first, const int ready[2])
{
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (!pid)
		inhabit(files, sockets, first, ready[1]);
	crowd[crowd_size++] = pid;
	return read(ready[0], &r, sizeof(r)) == sizeof(r) ? r : -EIO;
}

int bench_populate(unsigned processes, unsigned files, unsigned sockets)
{
	struct rlimit limit = { 4096, 4096 };
	int ready[2], r = 0;

	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	for (unsigned i = 0; i < processes && crowd_size < CROWD_MAX && !r; i++)
		r = inhabitant_new(files, sockets, (uint16_t)(CROWD_PORT + i * sockets), ready);
	close(ready[0]);
	close(ready[1]);
	return r;
}

void bench_depopulate(void)
{
	for (unsigned i = 0; i < crowd_size; i++)
		kill(crowd[i], SIGKILL);
	for (unsigned i = 0; i < crowd_size; i++)
		waitpid(crowd[i], NULL, 0);
	crowd_size = 0;
}

double bench_resident_mib(pid_t pid)
{
	auto_fclose FILE *f = NULL;
	char path[64], line[512];
	uint64_t kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6))
			kib = strtoull(line + 6, NULL, 10);
	return (double)kib / 1024;
}
