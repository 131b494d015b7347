/* SPDX-License-Identifier: GPL-2.0-only */
/* bind and listen without a system call of that name (T12): the process's own name, never a worker's. */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live/actor/play.h"
#include "util/cleanup.h"

/* Of include/uapi/linux/io_uring.h, 6.11. */
#define OP_BIND 56
#define OP_LISTEN 57

#define ENTRIES 8

struct ring {
	int fd;
	unsigned setup;
	unsigned *sq_tail, *sq_mask, *sq_array;
	unsigned *cq_head, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void *map_ring(int fd, size_t size, off_t offset)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	need(p != MAP_FAILED, "mmap of an io_uring");
	return p;
}

static void ring_open(struct ring *r, unsigned setup)
{
	struct io_uring_params p = { .flags = setup, .sq_thread_idle = 1000 };
	char *sq, *cq;

	r->setup = setup;
	r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
	need(r->fd >= 0, "io_uring_setup");
	sq = map_ring(r->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = map_ring(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	r->sqes = map_ring(r->fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	r->sq_tail = (unsigned *)(sq + p.sq_off.tail);
	r->sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	r->sq_array = (unsigned *)(sq + p.sq_off.array);
	r->cq_head = (unsigned *)(cq + p.cq_off.head);
	r->cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

static void ring_put(struct ring *r, const struct io_uring_sqe *sqe)
{
	unsigned tail = *r->sq_tail, at = tail & *r->sq_mask;

	r->sqes[at] = *sqe;
	r->sq_array[at] = at;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* Hand over the @n requests put, and wait for them all. */
static void ring_enter(const struct ring *r, unsigned n)
{
	bool polls = r->setup & IORING_SETUP_SQPOLL;

	need(syscall(SYS_io_uring_enter, r->fd, polls ? 0 : n, n,
		     IORING_ENTER_GETEVENTS | (polls ? IORING_ENTER_SQ_WAKEUP : 0), NULL, 0) >= 0,
	     "io_uring_enter");
}

/* The next completion. @ret_data: of its request; NULL: not asked for. */
static int ring_take(struct ring *r, __u64 *ret_data)
{
	const struct io_uring_cqe *cqe = &r->cqes[*r->cq_head & *r->cq_mask];
	int result = cqe->res;

	if (ret_data)
		*ret_data = cqe->user_data;
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Submit one request and wait for it: its result. */
static int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	ring_put(r, sqe);
	ring_enter(r, 1);
	return ring_take(r, NULL);
}

/* @a has to live until the request is handed over. */
static struct io_uring_sqe bind_request(struct sockaddr_storage *a, unsigned flags, int fd, unsigned port)
{
	socklen_t len = make_addr(a, "127.0.0.1", port);

	return (struct io_uring_sqe){
		.opcode = OP_BIND, .flags = (__u8)flags, .fd = fd, .addr = (__u64)(size_t)a, .addr2 = len
	};
}

static int ring_bind(struct ring *r, unsigned flags, int fd, unsigned port)
{
	struct sockaddr_storage a;
	struct io_uring_sqe sqe = bind_request(&a, flags, fd, port);

	return ring_do(r, &sqe);
}

static int ring_listen(struct ring *r, unsigned flags, int fd, unsigned backlog)
{
	struct io_uring_sqe sqe = { .opcode = OP_LISTEN, .flags = (__u8)flags, .fd = fd, .len = backlog };

	return ring_do(r, &sqe);
}

static bool binds(void)
{
	struct ring r;

	ring_open(&r, 0);
	return ring_bind(&r, 0, tcp_socket("127.0.0.1"), 0) == 0;
}

static const char *no_uring(void)
{
	return kernel_says(binds) ? NULL : "io_uring has no bind here";
}

static void needs_result(int got, int wanted, const char *what)
{
	if (got != wanted)
		give_up("io_uring %s: %s", what, strerror(-got));
}

/* Works, listens, and another fails, in one of the ways a request can be carried out. */
static void play_uring(unsigned setup, unsigned flags, unsigned port)
{
	int fd = tcp_socket("127.0.0.1"), other = tcp_socket("127.0.0.1"), udp = udp_socket("127.0.0.1");
	struct ring r;

	ring_open(&r, setup);
	needs_result(ring_bind(&r, flags, fd, port), 0, "bind");
	needs_result(ring_listen(&r, flags, fd, 5), 0, "listen");
	needs_result(ring_bind(&r, flags, other, port), -EADDRINUSE, "bind of a taken port");
	needs_result(ring_bind(&r, flags, udp, port), 0, "bind of a udp socket");
	needs_result(ring_listen(&r, flags, udp, 5), -EOPNOTSUPP, "listen on a udp socket");
	sync_ledger();
	close(other);
	close(udp);
	close(fd);
}

static void in_line(void)
{
	play_uring(0, 0, 5901);
}

static void by_worker(void)
{
	play_uring(0, IOSQE_ASYNC, 5902);
}

static void by_poller(void)
{
	play_uring(IORING_SETUP_SQPOLL, 0, 5903);
}

/* Results of many binds come at once, after the last of them was made; two failed, each for a port of its own. */
static void play_batch(unsigned setup, unsigned flags)
{
	static const struct {
		unsigned port;
		int result;
	} binds[] = { { 5911, 0 }, { 5912, 0 },           { 5913, 0 },
		      { 5914, 0 }, { 5921, -EADDRINUSE }, { 5922, -EADDRINUSE } };
	int first = listener_at("127.0.0.1", 5921), second = tcp_at("127.0.0.1", 5922);
	struct sockaddr_storage a[ARRAY_SIZE(binds)];
	struct io_uring_sqe sqe;
	struct ring r;

	ring_open(&r, setup);
	for (size_t i = 0; i < ARRAY_SIZE(binds); i++) {
		sqe = bind_request(&a[i], flags, tcp_socket("127.0.0.1"), binds[i].port);
		sqe.user_data = i;
		ring_put(&r, &sqe);
	}
	ring_enter(&r, ARRAY_SIZE(binds));
	for (size_t i = 0; i < ARRAY_SIZE(binds); i++) {
		__u64 which;
		int result = ring_take(&r, &which);

		needs_result(result, binds[which].result, "bind of a batch");
	}
	sync_ledger();
	close(first);
	close(second);
}

static void batch(void)
{
	play_batch(0, 0);
}

static void batch_by_workers(void)
{
	play_batch(0, IOSQE_ASYNC);
}

static void batch_by_poller(void)
{
	play_batch(IORING_SETUP_SQPOLL, 0);
}

/* Workers bind, and the thread that asked for it completes. */
static void batch_deferred(void)
{
	play_batch(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IOSQE_ASYNC);
}

#define TOLD_ONCE(port)                                                                                \
	{                                                                                              \
		"bind tcp 127.0.0.1:" port, "listen tcp 127.0.0.1:" port " backlog=5",                 \
			"bind!EADDRINUSE tcp 127.0.0.1:" port " kind=listener hpid=@self hcomm=@comm", \
			"bind udp 127.0.0.1:" port, "release udp 127.0.0.1:" port " free=true",        \
			"release tcp 127.0.0.1:" port " free=true"                                     \
	}

#define TOLD_BATCH                                                                                      \
	{                                                                                               \
		"bind tcp 127.0.0.1:5921", "listen tcp 127.0.0.1:5921", "bind tcp 127.0.0.1:5922",      \
			"bind tcp 127.0.0.1:5911 -requested_addr -requested_port",                      \
			"bind tcp 127.0.0.1:5912 -requested_addr -requested_port",                      \
			"bind tcp 127.0.0.1:5913 -requested_addr -requested_port",                      \
			"bind tcp 127.0.0.1:5914 -requested_addr -requested_port",                      \
			"bind!EADDRINUSE #x tcp 127.0.0.1:5921 code=listener kind=listener hpid=@self", \
			"bind!EADDRINUSE #y tcp 127.0.0.1:5922 code=bound kind=bound hpid=@self",       \
			"release tcp 127.0.0.1:5921", "release tcp 127.0.0.1:5922",                     \
			"release tcp 127.0.0.1:5911", "release tcp 127.0.0.1:5912",                     \
			"release tcp 127.0.0.1:5913", "release tcp 127.0.0.1:5914"                      \
	}

/* clang-format off */
const struct situation uring_situations[] = {
	{ "io_uring, inline", no_uring, in_line, TOLD_ONCE("5901") },
	{ "io_uring, by a worker", no_uring, by_worker, TOLD_ONCE("5902") },
	{ "io_uring, by a polling thread", no_uring, by_poller, TOLD_ONCE("5903") },
	{ "io_uring, many binds in one call", no_uring, batch, TOLD_BATCH, ANY_ORDER },
	{ "io_uring, many binds by workers", no_uring, batch_by_workers, TOLD_BATCH, ANY_ORDER },
	{ "io_uring, many binds by a polling thread", no_uring, batch_by_poller, TOLD_BATCH, ANY_ORDER },
	{ "io_uring, many binds by workers, completed elsewhere", no_uring, batch_deferred, TOLD_BATCH, ANY_ORDER },
};
/* clang-format on */
TABLE_SIZE(uring);
