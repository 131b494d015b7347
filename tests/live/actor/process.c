/* SPDX-License-Identifier: GPL-2.0-only */
/* Who made the call: threads, names and arguments that bite, processes too short-lived to look at. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live/actor/play.h"

#define N_THREADS 8
#define N_RACES 100

/* ---- threads ---- */

static pthread_barrier_t meeting;

static void *binds_in_thread(void *arg)
{
	unsigned port = 5801 + (unsigned)(size_t)arg;
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "worker-%u", port);
	pthread_setname_np(pthread_self(), name);
	note(name, "%ld", syscall(SYS_gettid));
	pthread_barrier_wait(&meeting);
	fd = tcp_at("127.0.0.1", port);
	close(fd);
	return NULL;
}

/* Eight at once, each under a name of its own: the process has one name, and each call its thread. */
static void threads(void)
{
	pthread_t all[N_THREADS];

	pthread_barrier_init(&meeting, NULL, N_THREADS);
	for (size_t i = 0; i < N_THREADS; i++)
		need(!pthread_create(&all[i], NULL, binds_in_thread, (void *)i), "pthread_create");
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(all[i], NULL);
}

struct race {
	int fd;
	unsigned n_bound;
	bool over;
};

static void *closes_in_thread(void *arg)
{
	struct race *race = arg;

	for (;;) {
		pthread_barrier_wait(&meeting);
		if (race->over)
			return NULL;
		close(race->fd);
		pthread_barrier_wait(&meeting);
	}
}

/* One thread binds what the other closes. Whoever is first: a bind that worked is told, and its end, once. */
static void races(void)
{
	struct race race = { 0 };
	pthread_t closer;

	pthread_barrier_init(&meeting, NULL, 2);
	need(!pthread_create(&closer, NULL, closes_in_thread, &race), "pthread_create");
	for (int i = 0; i < N_RACES; i++) {
		race.fd = tcp_socket("127.0.0.1");
		pthread_barrier_wait(&meeting);
		race.n_bound += !try_bind(race.fd, "127.0.0.1", 5810);
		pthread_barrier_wait(&meeting);
	}
	race.over = true;
	pthread_barrier_wait(&meeting);
	pthread_join(closer, NULL);
	note("bound", "%u", race.n_bound);
}

/* T19: the address changes under the call. What is told is what the socket got. */
static void *rewrites_in_thread(void *arg)
{
	struct sockaddr_in *a = arg;

	while (__atomic_load_n(&a->sin_family, __ATOMIC_RELAXED) == AF_INET)
		__atomic_store_n(&a->sin_port, a->sin_port ^ htons(5811) ^ htons(5812), __ATOMIC_RELAXED);
	return NULL;
}

static void rewritten(void)
{
	struct sockaddr_storage a;
	socklen_t len = make_addr(&a, "127.0.0.1", 5811);
	unsigned n[2] = { 0 };
	pthread_t other;
	int fd;

	need(!pthread_create(&other, NULL, rewrites_in_thread, &a), "pthread_create");
	for (int i = 0; i < N_RACES; i++) {
		fd = tcp_socket("127.0.0.1");
		need(!bind(fd, (struct sockaddr *)&a, len), "bind");
		n[port_of(fd) == 5812]++;
		close(fd);
	}
	__atomic_store_n(&a.ss_family, AF_UNSPEC, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	note("first", "%u", n[0]);
	note("second", "%u", n[1]);
}

/* ---- names and arguments ---- */

static void hostile_comm(void)
{
	prctl(PR_SET_NAME, "\x1b[31m\"\\\n\xff\xc3");
	close(listener_at("127.0.0.1", 5813));
}

static void unicode_comm(void)
{
	prctl(PR_SET_NAME, "caf\xc3\xa9 \xe2\x82\xac");
	note("name", "caf\xc3\xa9 \xe2\x82\xac");
	close(tcp_at("127.0.0.1", 5814));
}

static void hostile_args(void)
{
	static const char *const args[] = { "5815", "two\nlines", "\x1b[2Jcleared", "quote\"back\\slash", "",
					    "",     NULL };

	note("lines", "two\nlines");
	note("escape", "\x1b[2Jcleared");
	note("quote", "quote\"back\\slash");
	become_role("bind", args);
}

static void secret_args(void)
{
	static const char *const args[] = { "5816",    "--password=hunter2",      "--token",
					    "hunter3", "http://me:hunter4@host/", "plain",
					    NULL };

	note("password", "--password=hunter2");
	note("token", "hunter3");
	note("url", "http://me:hunter4@host/");
	become_role("bind", args);
}

/* ---- gone before anybody could look ---- */

static void binds_and_exits(void *arg)
{
	static const char *const args[] = { "5817", "short-lived", NULL };

	(void)arg;
	become_role("bind", args);
}

/* portlog does not run while the process lives: nothing of it can come from /proc. */
static void short_lived(void)
{
	pid_t child;

	pause_tracer();
	child = start_child(binds_and_exits, NULL);
	note("child", "%d", child);
	end_child(child);
	resume_tracer();
}

static void crowd_member(void *arg)
{
	int fd = tcp_at("127.0.0.1", 5820 + (unsigned)(size_t)arg);

	close(fd);
}

static void crowd(void)
{
	pause_tracer();
	for (size_t i = 0; i < 20; i++)
		end_child(start_child(crowd_member, (void *)i));
	resume_tracer();
}

/* ---- another ABI ---- */

#ifdef __x86_64__
#include <sys/mman.h>

#define SYS32_GETPID 20
#define SYS32_BIND 361

static long syscall32(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static bool has_abi32(void)
{
	return syscall32(SYS32_GETPID, 0, 0, 0) == getpid();
}

static const char *no_abi32(void)
{
	return kernel_says(has_abi32) ? NULL : "the kernel has no 32-bit calls";
}

static void abi32(void)
{
	struct sockaddr_storage *a =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd = tcp_socket("127.0.0.1");
	socklen_t len;

	need(a != MAP_FAILED, "memory below 4 GiB");
	len = make_addr(a, "127.0.0.1", 5818);
	need(syscall32(SYS32_BIND, fd, (long)a, len) == 0, "bind by int 0x80");
	close(fd);
}
#else
static const char *no_abi32(void)
{
	return "not an x86-64";
}

static void abi32(void)
{
}
#endif

/* clang-format off */
const struct situation process_situations[] = {
	{ "eight threads at once: the process's name, each thread's id", NULL, threads,
	  { "bind tcp 127.0.0.1:5801 tid=@worker-5801",
	    "release tcp 127.0.0.1:5801 free=true",
	    "bind tcp 127.0.0.1:5802 tid=@worker-5802",
	    "release tcp 127.0.0.1:5802 free=true",
	    "bind tcp 127.0.0.1:5803 tid=@worker-5803",
	    "release tcp 127.0.0.1:5803 free=true",
	    "bind tcp 127.0.0.1:5804 tid=@worker-5804",
	    "release tcp 127.0.0.1:5804 free=true",
	    "bind tcp 127.0.0.1:5805 tid=@worker-5805",
	    "release tcp 127.0.0.1:5805 free=true",
	    "bind tcp 127.0.0.1:5806 tid=@worker-5806",
	    "release tcp 127.0.0.1:5806 free=true",
	    "bind tcp 127.0.0.1:5807 tid=@worker-5807",
	    "release tcp 127.0.0.1:5807 free=true",
	    "bind tcp 127.0.0.1:5808 tid=@worker-5808",
	    "release tcp 127.0.0.1:5808 free=true" },
	  .flags = ANY_ORDER },
	{ "bind and close from two threads at once", NULL, races,
	  { "bind tcp 127.0.0.1:5810 #bound *@bound",
	    "release tcp 127.0.0.1:5810 #released *@bound" },
	  .flags = ANY_ORDER },
	{ "an address rewritten under the call: told as the kernel read it", NULL, rewritten,
	  { "bind tcp 127.0.0.1:5811 #1 *@first",
	    "release tcp 127.0.0.1:5811 #2 *@first",
	    "bind tcp 127.0.0.1:5812 #3 *@second",
	    "release tcp 127.0.0.1:5812 #4 *@second" },
	  .flags = ANY_ORDER },
	{ "a name with escape codes and broken UTF-8", NULL, hostile_comm,
	  { "bind tcp 127.0.0.1:5813 +comm comm_hex=1b5b33316d225c0affc3",
	    "listen tcp 127.0.0.1:5813 +comm +comm_hex",
	    "release tcp 127.0.0.1:5813 +comm" } },
	{ "a name in UTF-8", NULL, unicode_comm,
	  { "bind tcp 127.0.0.1:5814 comm=@name -comm_hex",
	    "release tcp 127.0.0.1:5814 comm=@name" } },
	{ "arguments with newlines, escape codes and quotes", NULL, hostile_args,
	  { "bind tcp 127.0.0.1:5815 comm=exe process.args.0=actor process.args.3=5815 process.args.4=@lines "
	      "process.args.5=@escape process.args.6=@quote -process.args.9",
	    "release tcp 127.0.0.1:5815 comm=exe" } },
	{ "arguments with secrets: masked", NULL, secret_args,
	  { "bind tcp 127.0.0.1:5816 comm=exe +process.args.4 process.args.4!=@password process.args.5=--token "
	      "+process.args.6 process.args.6!=@token process.args.7!=@url process.args.8=plain",
	    "release tcp 127.0.0.1:5816 comm=exe" } },
	{ "a process that binds and is gone is told whole", NULL, short_lived,
	  { "bind tcp 127.0.0.1:5817 pid=@child comm=exe exe=@exe process.args.0=actor process.args.2=bind "
	      "process.args.4=short-lived process.ppid=@self",
	    "release tcp 127.0.0.1:5817 pid=@child comm=exe free=true" } },
	{ "twenty processes, all gone before portlog looks", NULL, crowd,
	  { "bind tcp *:* #b pid!=@self process.ppid=@self process.args.0!=- *20",
	    "release tcp *:* #r pid!=@self free=true *20" },
	  .flags = ANY_ORDER },
	{ "a bind by the 32-bit ABI is told once", no_abi32, abi32,
	  /* Whoever is gone before portlog looks has no exe: a 32-bit caller's process is not told by the hooks. */
	  { "bind tcp 127.0.0.1:5818 exe=@exe|-",
	    "release tcp 127.0.0.1:5818 free=true" } },
};
/* clang-format on */
TABLE_SIZE(process);
