/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The commands that run.t runs under `portlog run`, in one program:
 *
 *	errand netns CMD...       in a network namespace of its own
 *	errand odd CMD...         with signals blocked and ignored, a umask, no standard input, descriptor 7 open
 *	errand facts              print what a process inherits, a line each
 *	errand hold PORT          listen, say "up", and wait until standard input ends
 *	errand try|thread|uring PORT   bind it in this way, complain and fail as servers do
 *	errand late PORT          a daemon's child binds it after the command has ended its main part
 *	errand daemon PORT FILE   listen in a process that has cut itself loose; its pid goes to FILE
 *	errand count FILE         write a line for each signal that comes, "SIGTERM" ends it
 *	errand loop N             bind and close N times, print the nanoseconds
 *	errand fork N             the same, each in a process of its own
 *
 * Called "sudo" (installed setuid) it is a small sudo: see sudo_main().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"

#define IORING_OP_BIND_ 56 /* of include/uapi/linux/io_uring.h, 6.11 */

static int die(const char *what)
{
	fprintf(stderr, "errand: %s: %s\n", what, strerror(errno));
	return 1;
}

static struct sockaddr_in address(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				     .sin_port = htons((uint16_t)atoi(port)) };
}

static int try_bind(const char *port)
{
	struct sockaddr_in a = address(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return die("socket");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 5) < 0)
		return die("bind");
	return 0;
}

/* ---- surroundings ---- */

static int run_netns(char **words)
{
	if (net_new_namespace())
		return die("a network namespace");
	execvp(words[0], words);
	return die(words[0]);
}

static int run_odd(char **words)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	umask(027);
	fd = open("/dev/null", O_RDONLY);
	if (fd < 0 || dup2(fd, 7) < 0)
		return die("/dev/null");
	if (fd != 7)
		close(fd);
	close(STDIN_FILENO);
	setpriority(PRIO_PROCESS, 0, 3);
	execvp(words[0], words);
	return die(words[0]);
}

/* Lines of /proc/self/status that a parent hands on. */
static void print_status(void)
{
	static const char *const wanted[] = { "Umask:",  "TracerPid:", "Uid:",    "Gid:",         "Groups:",
					      "SigPnd:", "ShdPnd:",    "SigBlk:", "SigIgn:",      "SigCgt:",
					      "Cap",     "NoNewPrivs", "Seccomp", "Cpus_allowed:" };
	FILE *f = fopen("/proc/self/status", "r");
	char line[4096];

	while (f && fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (!strncmp(line, wanted[i], strlen(wanted[i])))
				fputs(line, stdout);
	if (f)
		fclose(f);
}

static void print_descriptors(int first)
{
	char path[32], target[256];
	ssize_t n;

	for (int fd = first; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || fd == STDOUT_FILENO || fd == STDERR_FILENO)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		printf("fd %d %x %x %s\n", fd, (unsigned)flags, (unsigned)fcntl(fd, F_GETFL), target);
	}
}

extern char **environ;

static int run_facts(char **words)
{
	char cwd[4096];

	print_descriptors(0);
	for (char **e = environ; *e; e++)
		puts(*e);
	print_status();
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l;

		if (!getrlimit((__rlimit_resource_t)i, &l))
			printf("limit %d %llu %llu\n", i, (unsigned long long)l.rlim_cur,
			       (unsigned long long)l.rlim_max);
	}
	printf("group %d session %d nice %d cwd %s tty %d\n", getpgrp(), getsid(0),
	       getpriority(PRIO_PROCESS, 0), getcwd(cwd, sizeof(cwd)) ? cwd : "?", tcgetpgrp(STDIN_FILENO));
	for (char **w = words; *w; w++)
		printf("word %s\n", *w);
	return 0;
}

/* ---- ways to bind ---- */

static int run_hold(char **words)
{
	char c;

	if (try_bind(words[0]))
		return 1;
	puts("up");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}

static int run_try(char **words)
{
	return try_bind(words[0]);
}

static void *thread_bind(void *port)
{
	return try_bind(port) ? port : NULL;
}

static int run_thread(char **words)
{
	void *failed = words;
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_bind, words[0]))
		return die("a thread");
	pthread_join(thread, &failed);
	return failed ? 1 : 0;
}

/* One request, given to a worker thread. */
static int run_uring(char **words)
{
	struct io_uring_params p = { 0 };
	struct sockaddr_in a = address(words[0]);
	int ring = (int)syscall(SYS_io_uring_setup, 4, &p), fd = socket(AF_INET, SOCK_STREAM, 0), result;
	struct io_uring_sqe *sqe;
	char *sq, *cq;

	if (ring < 0) {
		puts("no io_uring here");
		return 77;
	}
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED,
		  ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		   IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED)
		return die("mmap of an io_uring");
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_BIND_,
				      .flags = IOSQE_ASYNC,
				      .fd = fd,
				      .addr = (__u64)(size_t)&a,
				      .addr2 = sizeof(a) };
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return die("io_uring_enter");
	result = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
	if (result == -EINVAL) {
		puts("io_uring has no bind here");
		return 77;
	}
	errno = -result;
	return result < 0 ? die("bind") : 0;
}

/* Twice forked, in a session of its own; the parent ends when @ready says so. */
static bool cut_loose(void)
{
	int null = open("/dev/null", O_RDWR);

	if (fork())
		return false;
	setsid();
	if (fork())
		_exit(0);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	return true;
}

static int run_daemon(char **words)
{
	int ready[2];
	char c;

	if (pipe(ready))
		return die("pipe");
	if (cut_loose()) {
		FILE *f = fopen(words[1], "w");

		if (try_bind(words[0]) || !f)
			_exit(1);
		fprintf(f, "%d\n", getpid());
		fclose(f);
		close(ready[1]);
		close(ready[0]);
		for (;;)
			pause();
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1);
	return 0;
}

static int run_late(char **words)
{
	int ready[2];
	char c;

	if (pipe(ready))
		return die("pipe");
	if (cut_loose()) {
		(void)try_bind(words[0]);
		_exit(0);
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1);
	return 3;
}

/* ---- signals ---- */

static int count_fd = -1;

static void counted(int number)
{
	char line[16];
	int n = snprintf(line, sizeof(line), "%d\n", number);

	(void)!write(count_fd, line, (size_t)n);
	if (number == SIGTERM)
		_exit(5);
}

static int run_count(char **words)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT, SIGALRM };

	count_fd = open(words[0], O_WRONLY | O_CREAT | O_APPEND, 0600);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], counted);
	(void)!write(count_fd, "up\n", 3);
	while (pause() < 0)
		;
	return 0;
}

/* ---- loops ---- */

static int run_loop(char **words)
{
	printf("%llu\n", (unsigned long long)bench_bind(2000, 4000, (unsigned)atoi(words[0])));
	return 0;
}

#define FORK_PORT 20000 /* ports that no other part of a test holds: a busy one is tried for long */

static int run_fork(char **words)
{
	for (int i = atoi(words[0]); i > 0; i--) {
		pid_t pid = fork();

		if (!pid)
			_exit(bench_bind((uint16_t)(FORK_PORT + i % 4000), 1, 1) == 0);
		waitpid(pid, NULL, 0);
	}
	return 0;
}

/* ---- sudo ---- */

/*
 * Become root for the words that follow, with nothing open above 2 and a new environment. What it is to do else says its
 * own folder: a file "refuse" there, or "prompt" (ask at the terminal for the word in it).
 */
static int sudo_main(const char *self, char **words)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *clean[] = { path, NULL }, file[4096], answer[64] = "";
	const char *slash = strrchr(self, '/');
	int dir = slash ? (int)(slash - self) : 0;
	FILE *tty;

	snprintf(file, sizeof(file), "%.*s/refuse", dir, self);
	if (!access(file, F_OK)) {
		fprintf(stderr, "sudo: a password is required\n");
		return 1;
	}
	snprintf(file, sizeof(file), "%.*s/prompt", dir, self);
	if (!access(file, F_OK)) {
		tty = fopen("/dev/tty", "r+");
		if (!tty)
			return die("/dev/tty");
		fprintf(tty, "[sudo] password: ");
		fflush(tty);
		if (!fgets(answer, sizeof(answer), tty) || strcmp(answer, "secret\n") != 0)
			return die("sorry");
		fclose(tty);
	}
	if (setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return die("become root");
	for (int fd = STDERR_FILENO + 1; fd < 256; fd++)
		close(fd);
	execve(words[0], words, clean);
	return die(words[0]);
}

static const struct {
	const char *name;
	int n; /* words it needs */
	int (*run)(char **words);
} errands[] = {
	{ "netns", 1, run_netns }, { "odd", 1, run_odd },       { "facts", 0, run_facts },
	{ "hold", 1, run_hold },   { "try", 1, run_try },       { "thread", 1, run_thread },
	{ "uring", 1, run_uring }, { "daemon", 2, run_daemon }, { "late", 1, run_late },
	{ "count", 1, run_count }, { "loop", 1, run_loop },     { "fork", 1, run_fork },
};

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;

	if (argc > 1 && slash && !strcmp(slash, "/sudo"))
		return sudo_main(argv[0], argv + 1);
	for (size_t i = 0; argc > 1 && i < sizeof(errands) / sizeof(errands[0]); i++)
		if (!strcmp(argv[1], errands[i].name) && argc - 2 >= errands[i].n)
			return errands[i].run(argv + 2);
	fprintf(stderr, "usage: see tests/live/errand.c\n");
	return 2;
}
