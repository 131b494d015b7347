/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the pipeline share; private to src/pipeline. */
#ifndef PIPELINE_STATE_H
#define PIPELINE_STATE_H

#include "core/decode.h"
#include "core/explain.h"
#include "core/ledger.h"
#include "enrich/enrich.h"
#include "pipeline/pipeline.h"
#include "source/bpf.h"
#include "source/ring.h"
#include "source/sockdiag.h"
#include "util/loop.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
#define HOLDERS_MAX 32
#define CORRECTED_MAX 4096 /* a resync after a storm corrects thousands while others are let go */

/* A cost that may be paid only now and then: the next time is so far off that it takes a small part of all time. */
struct budget {
	uint64_t next_ns;
	uint64_t refused;
};

/* What found no room in a map: so much, of which so much was told. */
struct map_loss {
	uint64_t now, told;
};

struct resume;
struct lingers;
struct handoffs;
struct diags;
struct places;

struct pipeline {
	const struct pipeline_config *config;
	struct tracer *tracer;
	struct ring *ring;
	struct loop *loop;
	struct processes *processes;
	struct ledger *ledger;
	struct enrich *enrich;
	struct lingers *lingers;
	struct handoffs *handoffs;
	struct diags *diags;
	struct places *places;
	void *sink;
	struct {
		struct sink_options options;
		int fd, talk_fd; /* our own, to be closed; -1: none */
		bool unread;     /* given up: nobody reads */
	} output;
	struct session session;
	uint64_t started_ns;
	uint64_t deadline_ns;  /* --duration; 0: none */
	uint64_t sink_next_ns; /* when the sink wants to be called; 0: not */
	uint64_t seq;
	uint64_t told; /* events, bookkeeping not counted */
	uint64_t failed;
	uint64_t lost_at[N_LOST];
	uint64_t oldest_ns;    /* of the events since the last drain; 0: there was none */
	uint64_t lag_ns;       /* the largest since the keeper's last look */
	uint64_t look_next_ns; /* when the keeper looks again; 0: it does not */
	uint64_t bad_records;  /* of the wrong size or kind */
	uint64_t lost_seen[PL_KIND_MAX];
	struct map_loss map_full, map_lingers; /* sockets, and ports whose `free` is not followed */
	uint64_t map_next_ns;                  /* losses of maps are not told before */
	uint64_t map_due_ns;                   /* and some wait for that; 0: none do */
	uint64_t looked_at;                    /* position in the ring at the last look for losses */
	uint64_t lost_place; /* position at which what is known to be lost is told; 0: nothing is */
	uint64_t fed_to;     /* position of the record under way */
	uint64_t whole_to;   /* all that comes from what lies before in the ring has been told */
	uint64_t feed_end;   /* where the drain under way stops */
	uint64_t missed_seen;
	uint64_t queue_lost_seen; /* by the sink */
	uint64_t resync_due_ns;   /* 0: none is due */
	uint32_t mark;            /* of the resync under way */
	struct budget scan;       /* passes over every descriptor for one socket's owners */
	struct budget ask;        /* questions to sock_diag for one failure or release */
	struct {
		uint64_t sk, tracked_ns;
	} corrected[CORRECTED_MAX]; /* releases told by a resync */
	unsigned corrected_at;
	uint64_t snapshot_count;
	uint64_t last_record_ns;
	uint64_t look_due_ns;                  /* for signals and exits, while records never end */
	uint64_t offset_due_ns;                /* when to look at the wall clock again */
	uint64_t missed_due_ns;                /* when to ask for skipped programs again */
	bool unchecked;                        /* records came since skipped programs were asked for */
	uint64_t resync_next_ns;               /* not before */
	uint64_t resync_added, resync_removed; /* since the last resync that was told */
	bool hooks_missed;                     /* since the last resync: what is in the map may be gone */
	bool resync_repeats;                   /* the next one is the second look of one */
	uint32_t netns[TRACER_NETNS_MAX];      /* only these; n_netns 0: all */
	size_t n_netns;
	int clock_fd;
	int root_fd;
	int proc_fd;
	uint64_t tree_full_seen;
	uint64_t end_at; /* position in the ring up to which is told when until_fd has ended */
	bool ending;     /* it has */
	bool busy;       /* records come: the reader looks by itself */
	bool pinned;     /* the ring outlives us: what was read stays in it until the sink has kept it */
	uint32_t own_pid_before; /* of the recorder whose hooks these are; 0: none */
	struct resume *resume;   /* the stream of another run is being gone on with; else NULL */
	bool retell;             /* the next resync tells all that is held */
	bool syncing;            /* the first snapshot is under way: its rows are told when it is complete */
	bool stop;
	unsigned asked_to_end; /* signals that say so */
	int error;             /* of the sink: ends the run */
};

/* ---- tell.c: one record to filter and sink ---- */

/*
 * Tell @rec with what belongs to it (any of @extra's side arrays and explanation). @e: the socket's entry, NULL: none.
 * Fills time, seq and socket.id.
 */
void pipeline_tell(struct pipeline *p, struct record *rec, struct entry *e, struct process *process,
		   const struct view *extra);
/* A bookkeeping record of now, to be filled in and told. */
void record_now(struct record *rec, enum action action);
/* Interned; NULL: nobody, or no room. */
struct process *process_of(struct pipeline *p, const struct record *rec);
/* Who else stands in a record, filled like the event's own process: the program it was, whatever it runs now. */
struct process *side_process(struct pipeline *p, uint32_t pid, uint64_t start_ns, uint64_t exec_id);
void record_from_entry(struct record *rec, const struct entry *e, enum action action);
void tell_release_of(struct pipeline *p, struct entry *e, uint64_t now_ns); /* as a correction */

/* ---- feed.c: one ring record into the ledger, and told ---- */
void feed_process(struct pipeline *p, const struct pl_process *told);
int pipeline_feed(void *arg, const void *data, size_t len);
int pipeline_drain(struct pipeline *p, bool *ret_any); /* all that is ready now; 0 or negative errno */
void entry_tell_snapshot(struct pipeline *p, struct entry *e);

/* ---- conflict.c: who is in the way ---- */
void conflict_tell(struct pipeline *p, struct record *rec, struct process *process,
		   const struct pl_failure *failure);
void failure_tell(struct pipeline *p, struct record *rec, struct process *process);
/* What is left on a port that was let go, by sock_diag; at most @max. */
size_t holders_left(struct pipeline *p, const struct record *rec, struct holder *ret, size_t max);

void statistics_print(const struct pipeline *p); /* pipeline.c: to standard error */

/* ---- stats.c: the run in figures, and whoever looks after it ---- */
uint64_t lost_all(const struct pipeline *p);
void drain_timed(struct pipeline *p, uint64_t now_ns); /* the ring has been drained */
void keeper_synced(struct pipeline *p);
void keeper_tick(struct pipeline *p, uint64_t now_ns); /* UINT64_MAX: the end */
bool keeper_reopens(const struct pipeline *p);
void keeper_stopping(const struct pipeline *p);
void keeper_figures(const struct pipeline *p);

int pipeline_look(struct pipeline *p); /* pipeline.c: have signals and exits come? 0 or negative errno */

/* ---- resume.c: hooks that outlived a recorder, and its stream ---- */
int resume_open(
	struct pipeline *p); /* after the tracer: which stream, from where. 0 or negative errno with a story */
int resume_begin(struct pipeline *p);        /* what happened meanwhile is told */
int resume_end(struct pipeline *p);          /* and the ledger is right */
bool resume_is_on(const struct pipeline *p); /* a stream goes on, none begins */
void resume_free(struct resume *res);
void resume_losses(struct pipeline *p); /* what nobody can read any more */
int pipeline_replace(
	struct pipeline *p); /* replace.c: pinned hooks by ours. 0 or negative errno with a story */
void tracer_options_fill(struct pipeline *p, struct tracer_options *o, char *mount,
			 size_t size); /* pipeline.c */
/* A line for whoever looks after the run. */
void keeper_say(const struct pipeline *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The release that left @port busy, if it is the last that was told of it: begins to wait for `free` again. */
void resume_linger(struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port);
/* What was told is kept on disk together with the place in the ring up to which it was read. */
void keep_mark(struct pipeline *p);
bool keep_is_full(const struct pipeline *p); /* the disk is behind: no more is read */
/* While the disk is waited for nobody can sleep on the ring. @timeout_ns: at most. 0 or negative errno */
int keep_nap(struct pipeline *p, uint64_t timeout_ns);
bool keep_is_behind(const struct pipeline *p); /* something is in the ring: read or not */

/* ---- output.c: the sink, and a reader that does not read ---- */
int output_open(struct pipeline *p);
void output_close(struct pipeline *p);

/* ---- sync.c: what was there before, and what a loss took ---- */
int pipeline_snapshot(struct pipeline *p);
int pipeline_resync(struct pipeline *p);
void drain_to_here(struct pipeline *p);
void losses_check(struct pipeline *p); /* tell all that is known to be lost */
void losses_begin(struct pipeline *p);
void lost_tell(struct pipeline *p, uint64_t count, enum lost_where where, enum action action);
/* @t's rows of sockets that no file led to, of every namespace asked for; how many could not be looked into. */
uint32_t fileless_all(struct pipeline *p, struct tracer *t, int (*between)(void *arg), void *arg);
void losses_resume(struct pipeline *p, enum lost_where where, enum action action,
		   uint64_t count);   /* told before us */
void losses_look(struct pipeline *p); /* tell it where its place is reached */
void missed_check(struct pipeline *p);

/* ---- fallback.c: the same out of /proc and sock_diag ---- */
int snapshot_from_proc(struct pipeline *p, uint32_t *ret_netns_cut);
void record_from_row(struct record *rec, const struct diag_row *row, uint64_t now_ns); /* without a process */
bool netns_asked(const struct pipeline *p, uint32_t inode);                            /* sync.c */

/* ---- diags.c: sock_diag sockets, one for each namespace used lately ---- */
struct diags *diags_new(void);
struct diags *diags_free(struct diags *d);
/* NULL: it cannot be asked; *ret_gone (may be NULL): because nobody lives there. */
struct sockdiag *diags_get(struct diags *d, uint32_t netns, bool *ret_gone);
/* Close what is idle: an open one keeps its namespace alive. */
void diags_tick(struct diags *d, uint64_t now_ns);
uint64_t diags_next_ns(const struct diags *d); /* 0: none is open */

/* ---- places.c: the sysctls of a socket's own network namespace ---- */
struct places *places_new(void);
struct places *places_free(struct places *ps);
int place_port_start(struct pipeline *p, uint32_t netns); /* ip_unprivileged_port_start; -1: unknown */
/* Is @port in ip_local_port_range? The kernel's own range where that is unknown. */
bool place_gives_port(struct pipeline *p, uint32_t netns, uint16_t port);

/* ---- linger.c: when is a port free? ---- */
struct lingers *lingers_new(void);
struct lingers *lingers_free(struct lingers *l);
/* A release left the port busy. */
void linger_begin(struct pipeline *p, const struct record *rec, struct process *owner);
void linger_cancel(struct pipeline *p, const struct record *rec); /* it has a new owner */
void linger_end(struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port, uint64_t now_ns);
bool linger_is_known(const struct pipeline *p, uint32_t netns, enum proto proto, uint16_t port);
void linger_hint(struct pipeline *p, const struct pl_event *e);
void lingers_tick(struct pipeline *p, uint64_t now_ns);
uint64_t lingers_next_ns(const struct lingers *l);   /* 0: none */
uint64_t lingers_forgotten(const struct lingers *l); /* ports whose `free` is not followed: no room */

/* ---- tree.c: the processes of one command, and its end ---- */
int until_watch(struct pipeline *p);          /* 0 or negative errno */
bool until_reached(const struct pipeline *p); /* it has ended, and all that came before is told */
bool tree_wants(const struct pipeline *p, const struct record *rec);
void tree_left_tell(struct pipeline *p); /* ports that it still holds */

/* ---- handoff.c: the binder is gone, others have the socket ---- */
struct handoffs *handoffs_new(void);
struct handoffs *handoffs_free(struct handoffs *h, struct pipeline *p);
void handoff_watch(struct pipeline *p, struct entry *e);
void handoffs_tick(struct pipeline *p, uint64_t now_ns);
uint64_t handoffs_next_ns(const struct handoffs *h); /* 0: none */
/* Was the process seen to be gone before @time_ns, and is what it held not looked for yet? */
bool gone_before(const struct handoffs *h, uint32_t pid, uint64_t start_ns, uint64_t time_ns);
bool process_start(uint32_t pid, struct owner *ret); /* pid, start and comm by /proc; false: gone */
bool process_alive(uint32_t pid, uint64_t start_ns);
/* Find who has socket @sk open (a pass over every descriptor, if the budget allows). Entries' owners are filled. */
/* Has process @pid socket @sk open? Cheap; true also when it cannot be told (before 6.1). */
bool owner_has(struct pipeline *p, uint64_t sk, uint64_t inode, uint32_t pid);
bool owners_scan(struct pipeline *p, uint64_t sk, uint64_t inode, struct owner *ret, size_t max,
		 size_t *ret_n);

#endif
